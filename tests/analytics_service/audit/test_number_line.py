"""Runs of numbers: whatever the order they come in, the gaps are what is missing."""

from hypothesis import given
from hypothesis import strategies as st

from analytics_service.audit.number_line import Gap, NumberLine


def line_of(*numbers: int) -> NumberLine:
    line = NumberLine()
    for number in numbers:
        line.add(number, float(number))
    return line


@given(st.lists(st.integers(1, 15), max_size=40), st.integers(0, 17))
def test_the_gaps_are_what_is_missing_between_the_lowest_and_the_highest(numbers: list[int], above: int) -> None:
    line = line_of(*numbers)
    missing = {number for gap in line.gaps(above=above) for number in range(gap.first, gap.last + 1)}
    expected = set(range(min(numbers), max(numbers))) - set(numbers) if numbers else set()
    assert missing == {number for number in expected if number > above}
    assert (line.first, line.last) == ((min(numbers), max(numbers)) if numbers else (None, None))
    assert all((number in line) == (number in numbers) for number in range(17))
    assert len(line._runs) == (len(line.gaps()) + 1 if numbers else 0)


def test_a_gap_is_as_old_as_the_number_after_it() -> None:
    line = NumberLine()
    for number, at in ((1, 10.0), (5, 20.0), (6, 30.0)):
        line.add(number, at)
    assert line.gaps() == [Gap(2, 4, 20.0)]
    line.add(4, 40.0)
    assert line.gaps() == [Gap(2, 3, 40.0)]
    assert line.gaps()[0].parts == 2


def test_a_long_run_takes_the_room_of_one() -> None:
    line = line_of(*range(1, 5000), *range(6000, 5500, -1))
    assert len(line._runs) == 2
    line.add(2**62, 1.0)
    assert line.gaps()[-1].parts == 2**62 - 6001
