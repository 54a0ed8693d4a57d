"""What is sent next, told by a clock of the test's own."""

import random

from hypothesis import given
from hypothesis import strategies as st

from edge_node.delivery.retry_schedule import RetrySchedule
from edge_node.delivery.ticket import CHANNELS, SchedulePolicy

BOTH = frozenset(CHANNELS)
OLD = float("-inf")


def a_schedule(**policy: float) -> RetrySchedule:
    return RetrySchedule(SchedulePolicy(**policy), random.Random(1))  # type: ignore[arg-type]


def send(schedule: RetrySchedule, now: float) -> str | None:
    ticket = schedule.take(now, BOTH)
    if ticket is None:
        return None
    schedule.sent(ticket, 1000, now)
    schedule.accepted(ticket.inspection_id, now)
    return ticket.inspection_id


def due_in(schedule: RetrySchedule, inspection_id: str, now: float) -> float:
    ticket = schedule.ticket(inspection_id)
    assert ticket is not None
    return ticket.due - now


def test_live_parts_go_before_the_backlog() -> None:
    schedule = a_schedule()
    schedule.add("old", 1, OLD, now=0.0)
    schedule.add("live", 2, captured=0.0, now=0.0)
    assert [send(schedule, 0.0), send(schedule, 0.0), send(schedule, 0.0)] == ["live", "old", None]


def test_a_part_is_sent_again_until_its_verdict_comes() -> None:
    schedule = a_schedule(live_seconds=100, first_resend_seconds=2)
    schedule.add("part", 1, captured=0.0, now=0.0)
    assert send(schedule, 0.0) == "part"
    assert send(schedule, 1.9) is None
    assert send(schedule, 2.0) == "part"
    schedule.answered("part", 3.0)
    assert send(schedule, 1000.0) is None
    assert len(schedule) == 0


def test_resends_back_off() -> None:
    schedule = a_schedule(live_seconds=1e9, first_resend_seconds=2)
    schedule.add("part", 1, captured=0.0, now=0.0)
    now, waits = 0.0, []
    for _ in range(12):
        assert send(schedule, now) == "part"
        wait = schedule.wait(now, BOTH)
        assert wait is not None
        waits.append(wait)
        now += wait
    assert waits[0] == 2.0
    assert all(2.0 <= wait <= 2.0 + 60.0 for wait in waits)
    assert max(waits[6:]) > max(waits[:3])


def test_the_second_wait_adds_up_to_twice_the_first() -> None:
    waits = []
    for seed in range(50):
        schedule = RetrySchedule(SchedulePolicy(live_seconds=100, first_resend_seconds=2), random.Random(seed))
        schedule.add("part", 1, captured=0.0, now=0.0)
        send(schedule, 0.0)
        send(schedule, 2.0)
        waits.append(schedule.wait(2.0, BOTH) or 0.0)
    assert 2.0 <= min(waits) < 2.5
    assert 5.5 < max(waits) <= 6.0


def test_slow_answers_make_resends_patient() -> None:
    schedule = a_schedule(live_seconds=100, first_resend_seconds=2)
    for number, seconds in enumerate((1.5, 0.5)):
        schedule.add("slow", number, captured=10.0, now=10.0)
        send(schedule, 10.0)
        schedule.answered("slow", 10.0 + seconds)
    schedule.add("next", 2, captured=12.0, now=12.0)
    send(schedule, 12.0)
    assert due_in(schedule, "next", 12.0) == 6.0


def test_patience_has_its_bound_unless_the_setting_asks_for_more() -> None:
    for first_resend, expected in ((2, 10.0), (20, 20.0)):
        schedule = a_schedule(live_seconds=100, first_resend_seconds=first_resend)
        schedule.add("very slow", 1, captured=0.0, now=0.0)
        send(schedule, 0.0)
        schedule.answered("very slow", 15.0)
        schedule.add("next", 2, captured=15.0, now=15.0)
        send(schedule, 15.0)
        assert due_in(schedule, "next", 15.0) == expected


def test_a_live_part_that_grew_old_goes_by_the_backlog() -> None:
    schedule = a_schedule(live_seconds=2.2, first_resend_seconds=2)
    schedule.add("part", 1, captured=100.0, now=100.0)
    assert schedule.backlog == 0
    send(schedule, 100.0)
    ticket = schedule.take(102.1, BOTH)
    assert ticket is not None
    assert (ticket.channel, schedule.backlog) == ("frame", 0)
    schedule.not_sent(ticket, 102.1)
    schedule.resume("frame")
    ticket = schedule.take(102.5, BOTH)
    assert ticket is not None
    assert (ticket.channel, schedule.backlog) == ("backlog", 1)


def test_an_answered_part_leaves_the_backlog() -> None:
    schedule = a_schedule()
    schedule.add("old", 1, OLD, now=0.0)
    assert schedule.backlog == 1
    send(schedule, 0.0)
    schedule.answered("old", 1.0)
    assert schedule.backlog == 0


def test_the_next_look_is_at_whatever_comes_first() -> None:
    schedule = a_schedule(live_seconds=100, first_resend_seconds=2, backlog_bytes_per_second=100)
    schedule.add("live", 1, captured=0.0, now=0.0)
    send(schedule, 0.0)
    for number in (2, 3):
        schedule.add(f"old-{number}", number, OLD, now=0.0)
    assert send(schedule, 0.0) == "old-2"
    assert schedule.wait(0.5, BOTH) == 1.5, "the live one is due at 2 s; the backlog may go on at 10 s"


def test_the_backlog_keeps_to_its_window_and_starves_nobody() -> None:
    schedule = a_schedule(backlog_window=2, first_resend_seconds=2)
    for number in range(6):
        schedule.add(f"old-{number}", number, OLD, now=0.0)
    assert [send(schedule, 0.0) for _ in range(3)] == ["old-0", "old-1", None]
    # nobody answers: after the wait the next ones have their turn before the first are repeated
    assert [send(schedule, 2.0) for _ in range(3)] == ["old-2", "old-3", None]
    assert [send(schedule, 4.0) for _ in range(3)] == ["old-4", "old-5", None]
    assert [send(schedule, 6.0) for _ in range(3)] == ["old-0", "old-1", None]


def test_the_backlog_keeps_to_its_rate() -> None:
    schedule = a_schedule(backlog_bytes_per_second=500)
    schedule.add("one", 1, OLD, now=0.0)
    schedule.add("two", 2, OLD, now=0.0)
    assert send(schedule, 0.0) == "one"
    assert send(schedule, 1.9) is None
    assert send(schedule, 2.0) == "two"


def test_a_refusal_pauses_its_channel_without_spinning_and_a_birth_ends_the_pause() -> None:
    schedule = a_schedule(live_seconds=1000)
    schedule.add("part", 1, captured=0.0, now=0.0)
    now = 0.0
    for _ in range(10):
        ticket = schedule.take(now, BOTH)
        assert ticket is not None
        schedule.sent(ticket, 1000, now)
        schedule.refused("part", now)
        assert schedule.take(now, BOTH) is None
        wait = schedule.wait(now, BOTH)
        assert wait is not None
        assert wait > 0.1
        now += wait
    ticket = schedule.take(now, BOTH)
    assert ticket is not None
    schedule.sent(ticket, 1000, now)
    schedule.refused("part", now)
    schedule.all_due(now)
    assert schedule.take(now, BOTH) is not None


def test_two_refusals_at_once_are_one_pause() -> None:
    schedule = a_schedule(live_seconds=1000)
    for number in range(2):
        schedule.add(f"part-{number}", number, captured=0.0, now=0.0)
        ticket = schedule.take(0.0, BOTH)
        assert ticket is not None
        schedule.sent(ticket, 1000, 0.0)
    for number in range(2):
        schedule.refused(f"part-{number}", 0.0)
    wait = schedule.wait(0.0, BOTH)
    assert wait is not None
    assert 0.125 <= wait <= 0.25


def refuse(schedule: RetrySchedule, now: float) -> float:
    """Send the next message, which the broker refuses; how long the channel then rests."""
    ticket = schedule.take(now, BOTH)
    assert ticket is not None
    schedule.sent(ticket, 1000, now)
    schedule.refused(ticket.inspection_id, now)
    wait = schedule.wait(now, BOTH)
    assert wait is not None
    return wait


def test_pauses_grow_to_their_bound_and_begin_anew_when_the_broker_accepts() -> None:
    schedule = a_schedule(live_seconds=1e9)
    schedule.add("part", 1, captured=0.0, now=0.0)
    now, pauses = 0.0, []
    for _ in range(12):
        pauses.append(refuse(schedule, now))
        now += pauses[-1]
    assert 0.125 <= pauses[0] <= 0.25 <= pauses[1] <= 0.5
    assert all(15.0 <= pause <= 30.0 for pause in pauses[8:])
    assert send(schedule, now) == "part"
    schedule.all_due(now)
    assert refuse(schedule, now) <= 0.25
    schedule.add("other", 2, captured=now, now=now + 1)
    assert send(schedule, now + 1) == "part"
    assert refuse(schedule, now + 1) <= 0.25


def test_what_the_link_did_not_take_was_not_sent_and_its_channel_rests() -> None:
    schedule = a_schedule(live_seconds=1000)
    schedule.add("part", 1, captured=0.0, now=0.0)
    ticket = schedule.take(0.0, BOTH)
    assert ticket is not None
    schedule.sent(ticket, 1000, 0.0)
    schedule.not_sent(ticket, 0.0)
    assert ticket.sends == 0
    assert schedule.take(0.0, BOTH) is None
    assert schedule.take(1.0, BOTH) is ticket


def test_a_refusal_of_what_is_not_on_its_way_is_nobodys() -> None:
    schedule = a_schedule(live_seconds=1000)
    schedule.add("part", 1, captured=0.0, now=0.0)
    send(schedule, 0.0)
    schedule.refused("part", 0.1)
    schedule.refused("closed long ago", 0.1)
    assert send(schedule, 0.2) is None


def test_what_awaits_its_verdict_is_due_at_once_when_a_service_is_born() -> None:
    schedule = a_schedule(live_seconds=1000)
    schedule.add("part", 1, captured=0.0, now=0.0)
    send(schedule, 0.0)
    assert send(schedule, 0.1) is None
    schedule.all_due(0.1)
    assert send(schedule, 0.1) == "part"


def test_damage_is_repaired_at_once_and_repeated_damage_with_patience() -> None:
    schedule = a_schedule(live_seconds=1000, first_resend_seconds=2)
    schedule.add("part", 1, captured=0.0, now=0.0)
    send(schedule, 0.0)
    schedule.again("part", 0.1)
    assert send(schedule, 0.1) == "part"
    schedule.again("part", 0.2)
    assert send(schedule, 0.2) is None
    assert send(schedule, 100.0) == "part"
    schedule.again("part", 100.1)
    assert send(schedule, 100.1) is None
    schedule.all_due(100.1)
    assert send(schedule, 100.1) == "part"


def test_an_unconnected_channel_is_left_alone() -> None:
    schedule = a_schedule()
    schedule.add("old", 1, OLD, now=0.0)
    assert schedule.take(0.0, {"frame"}) is None
    assert schedule.wait(0.0, {"frame"}) is None
    assert schedule.take(0.0, BOTH) is not None


events = st.lists(
    st.tuples(
        st.sampled_from(["add", "send", "refuse", "lose", "answer", "birth", "again"]),
        st.integers(0, 5),
        st.floats(0.0, 5.0),
    ),
    max_size=80,
)


def play(schedule: RetrySchedule, event: str, number: int, now: float, still_open: set[str]) -> None:
    name = f"part-{number}"
    match event:
        case "add" if name not in still_open:
            schedule.add(name, number, now, now)
            still_open.add(name)
        case "send" | "refuse" | "lose":
            ticket = schedule.take(now, BOTH)
            if ticket is None:
                return
            schedule.sent(ticket, 100, now)
            if event == "lose":
                schedule.not_sent(ticket, now)
            else:
                (schedule.accepted if event == "send" else schedule.refused)(ticket.inspection_id, now)
        case "answer":
            schedule.answered(name, now)
            still_open.discard(name)
        case "birth":
            schedule.all_due(now)
        case "again":
            schedule.again(name, now)


@given(events)
def test_whatever_happens_every_open_part_is_sent_again_in_the_end(history: list[tuple[str, int, float]]) -> None:
    schedule = a_schedule(live_seconds=2, backlog_window=1)
    now, still_open = 0.0, set[str]()
    for event, number, seconds in history:
        now += seconds
        play(schedule, event, number, now, still_open)
    sent = set()
    for _ in range(400):
        sent.add(send(schedule, now))
        wait = schedule.wait(now, BOTH)
        now += max(wait or 0.0, 1e-6)
    assert sent - {None} == still_open
    assert len(schedule) == len(still_open)
    assert schedule.backlog == len(still_open)


def test_an_answer_over_an_outage_does_not_make_resends_patient() -> None:
    schedule = a_schedule(live_seconds=100, first_resend_seconds=2)
    schedule.add("slow", 1, captured=0.0, now=0.0)
    ticket = schedule.take(0.0, BOTH)
    assert ticket is not None
    schedule.sent(ticket, 1000, 0.0)
    schedule.all_due(1.0)
    schedule.answered("slow", 5.0)
    schedule.add("next", 2, captured=5.0, now=5.0)
    send(schedule, 5.0)
    assert schedule.wait(5.0, BOTH) == 2.0
