"""A schedule under any order of its steps: no part is lost, and no place in the window is kept by a closed one."""

import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from edge_node.delivery.retry_schedule import RetrySchedule
from edge_node.delivery.ticket import CHANNELS, Channel, SchedulePolicy, Ticket

OLD = float("-inf")
WINDOW = 1


class ScheduleMachine(RuleBasedStateMachine):
    """Takes, sends, the broker's answers, verdicts and outages are separate steps, in any order, also repeated."""

    tickets: Bundle[Ticket | None] = Bundle("tickets")
    sent_names: Bundle[str] = Bundle("sent_names")

    def __init__(self) -> None:
        super().__init__()
        self.schedule = RetrySchedule(
            SchedulePolicy(live_seconds=2.0, first_resend_seconds=2.0, backlog_window=WINDOW), random.Random(1)
        )
        self.now, self.number = 0.0, 0
        self.open: set[str] = set()
        self.connected: set[Channel] = set(CHANNELS)

    @rule(historical=st.booleans())
    def a_part_is_kept(self, *, historical: bool) -> None:
        self.number += 1
        name = f"part-{self.number}"
        self.schedule.add(name, self.number, OLD if historical else self.now, self.now)
        self.open.add(name)

    @rule(number=st.integers(1, 4))
    def a_part_is_kept_again(self, number: int) -> None:
        if f"part-{number}" in self.open:
            self.schedule.add(f"part-{number}", number, self.now, self.now)

    @rule(target=tickets)
    def the_publisher_takes(self) -> Ticket | None:
        ticket = self.schedule.take(self.now, self.connected)
        if ticket is not None:
            assert ticket.inspection_id in self.open
            assert ticket.channel in self.connected
            assert ticket.due <= self.now
        return ticket

    @rule(ticket=consumes(tickets), target=sent_names)
    def the_publisher_sends(self, ticket: Ticket | None) -> str:
        if ticket is None:
            return "unknown"
        self.schedule.sent(ticket, 100, self.now)
        return ticket.inspection_id

    @rule(ticket=consumes(tickets))
    def the_link_takes_nothing(self, ticket: Ticket | None) -> None:
        if ticket is not None:
            self.schedule.not_sent(ticket, self.now)

    @rule(name=sent_names)
    def the_broker_accepts(self, name: str) -> None:
        self.schedule.accepted(name, self.now)

    @rule(name=sent_names)
    def the_broker_refuses(self, name: str) -> None:
        self.schedule.refused(name, self.now)

    @rule(number=st.integers(1, 4))
    def a_verdict_comes(self, number: int) -> None:
        self.schedule.answered(f"part-{number}", self.now)
        self.open.discard(f"part-{number}")

    @rule(ticket=tickets)
    def a_verdict_comes_for_a_taken_part(self, ticket: Ticket | None) -> None:
        if ticket is not None:
            self.schedule.answered(ticket.inspection_id, self.now)
            self.open.discard(ticket.inspection_id)

    @rule(number=st.integers(1, 4))
    def a_part_was_damaged_on_the_way(self, number: int) -> None:
        self.schedule.again(f"part-{number}", self.now)

    @rule(seconds=st.floats(0.001, 30.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(channel=st.sampled_from(CHANNELS))
    def a_link_goes(self, channel: Channel) -> None:
        self.connected.discard(channel)

    @rule(channel=st.sampled_from(CHANNELS))
    def a_link_comes_back(self, channel: Channel) -> None:
        self.connected.add(channel)
        self.schedule.resume(channel)
        if channel == "frame":
            self.schedule.all_due(self.now)

    @invariant()
    def the_schedule_knows_the_open_parts_and_no_others(self) -> None:
        assert len(self.schedule) == len(self.open)
        assert self.schedule.backlog <= len(self.open)

    def teardown(self) -> None:
        """From any state: once everything is connected and the broker accepts, every open part is sent again."""
        self.connected = set(CHANNELS)
        for name in self.open:
            self.schedule.refused(name, self.now)
        self.schedule.all_due(self.now)
        sent: set[str] = set()
        for _ in range(40 * (len(self.open) + 1)):
            ticket = self.schedule.take(self.now, self.connected)
            if ticket is not None:
                self.schedule.sent(ticket, 100, self.now)
                self.schedule.accepted(ticket.inspection_id, self.now)
                sent.add(ticket.inspection_id)
            self.now += max(self.schedule.wait(self.now, self.connected) or 0.0, 0.01)
        assert sent == self.open


class WindowMachine(RuleBasedStateMachine):
    """Only the backlog, against a model of its window: the places are counted exactly, whoever comes first."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = RetrySchedule(SchedulePolicy(backlog_window=WINDOW), random.Random(1))
        self.number = 0
        self.waiting: list[str] = []
        self.taken: dict[str, Ticket] = {}
        self.closed: list[Ticket] = []

    @rule()
    def an_old_part_waits(self) -> None:
        self.number += 1
        self.waiting.append(f"part-{self.number}")
        self.schedule.add(self.waiting[-1], self.number, OLD, 0.0)

    @rule()
    def the_publisher_takes(self) -> None:
        ticket = self.schedule.take(0.0, {"backlog"})
        expected = self.waiting[0] if self.waiting and len(self.taken) < WINDOW else None
        assert (ticket.inspection_id if ticket else None) == expected
        if ticket is not None:
            self.taken[self.waiting.pop(0)] = ticket

    @rule(data=st.data())
    def a_verdict_comes_before_the_message_is_sent(self, data: Any) -> None:
        if self.taken:
            name = data.draw(st.sampled_from(sorted(self.taken)))
            self.closed.append(self.taken.pop(name))
            self.schedule.answered(name, 0.0)

    @rule(accepted=st.booleans())
    def the_publisher_goes_on_with_a_closed_part(self, *, accepted: bool) -> None:
        if self.closed:
            ticket = self.closed.pop()
            self.schedule.sent(ticket, 100, 0.0)
            answer = self.schedule.accepted if accepted else self.schedule.refused
            answer(ticket.inspection_id, 0.0)

    @rule(data=st.data())
    def the_broker_accepts(self, data: Any) -> None:
        if self.taken:
            ticket = self.taken[data.draw(st.sampled_from(sorted(self.taken)))]
            self.schedule.sent(ticket, 100, 0.0)
            self.schedule.accepted(ticket.inspection_id, 0.0)


TestSchedule = ScheduleMachine.TestCase
TestSchedule.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestWindow = WindowMachine.TestCase
TestWindow.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
