"""Copies of one message are answered a few times, whatever a bridge between brokers makes of them."""

from analytics_service.inspection.answer_limit import ANSWERS, REMEMBERED, WINDOW_SECONDS, AnswerLimit


def test_answers_are_counted_by_part_and_anew_in_every_window() -> None:
    now = [0.0]
    limit = AnswerLimit(lambda: now[0])
    assert [limit.count("a") for _ in range(ANSWERS + 1)] == list(range(1, ANSWERS + 2))
    assert limit.count("b") == 1
    now[0] = WINDOW_SECONDS - 0.1
    assert limit.count("a") == ANSWERS + 2
    now[0] = WINDOW_SECONDS
    assert limit.count("a") == 1


def test_no_more_parts_are_followed_than_are_remembered() -> None:
    limit = AnswerLimit(lambda: 0.0)
    for number in range(2 * REMEMBERED):
        limit.count(str(number))
    assert len(limit._windows) == REMEMBERED
