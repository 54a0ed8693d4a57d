"""Decides what is sent next. It has no clock: its caller gives the time.

A ticket is `ready` when it has to be sent, `in_flight` from the moment it is taken until the broker answers, and
`awaiting` its verdict until it is due again. Live tickets go before backlog; a ticket that is too old to be live moves
to the backlog the next time it is ready.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Collection

from edge_node.delivery.ticket import CHANNELS, Channel, SchedulePolicy, Ticket
from patchline.runtime.backoff import Backoff

_Heap = list[tuple[float, int, str]]
"""(due, sequence, inspection_id)."""

_LONGEST_RESEND_SECONDS = 60.0
_PAUSE = Backoff(first_seconds=0.25, longest_seconds=30.0)
_LONGEST_FIRST_RESEND_SECONDS = 10.0
_P99_MULTIPLE = 4.0
_ANSWERS = 512


class _Lane:
    """One channel's share of a schedule."""

    def __init__(self) -> None:
        self.ready: _Heap = []
        self.tickets = 0
        self.in_window: set[str] = set()
        self.refusals = 0
        self.paused_until = -math.inf
        self.throttled_until = -math.inf

    @property
    def open_at(self) -> float:
        """When it may be used again."""
        return max(self.paused_until, self.throttled_until)


class RetrySchedule:
    """The tickets of all open inspections; their number is bounded by the outbox's budget. One thread at a time."""

    def __init__(self, policy: SchedulePolicy, rng: random.Random) -> None:
        self._policy = policy
        self._rng = rng
        self._tickets: dict[str, Ticket] = {}
        self._awaiting: _Heap = []
        self._lanes: dict[Channel, _Lane] = {"frame": _Lane(), "backlog": _Lane()}
        self._answers: deque[float] = deque(maxlen=_ANSWERS)

    def __len__(self) -> int:
        """How many inspections are open."""
        return len(self._tickets)

    @property
    def backlog(self) -> int:
        """How many of them go by the backlog channel."""
        return self._lanes["backlog"].tickets

    def add(self, inspection_id: str, sequence: int, captured: float, now: float, *, keep_seconds: float = 0.0) -> None:
        """An inspection is to be sent."""
        self._remove(inspection_id)
        channel: Channel = "frame" if now - captured <= self._policy.live_seconds else "backlog"
        ticket = Ticket(inspection_id, sequence, captured, now, channel, keep_seconds=keep_seconds)
        self._tickets[inspection_id] = ticket
        self._lanes[channel].tickets += 1
        self._make_ready(ticket, now)

    def take(self, now: float, channels: Collection[Channel]) -> Ticket | None:
        """Choose the ticket to send over one of the connected channels, and count it as in flight from now on.

        A backlog ticket has a place in the window from here until it is answered, or ready again. The caller reports
        what became of it by `sent` or `not_sent`; its verdict may come before.
        """
        self._advance(now)
        for channel in CHANNELS:
            if channel not in channels or self._lanes[channel].open_at > now or self._is_full(channel):
                continue
            ticket = self._head(channel)
            if ticket is not None and ticket.due <= now:
                ticket.state, ticket.sent_at, ticket.uplink_seconds = "in_flight", now, None
                ticket.sends += 1
                self._lanes[channel].in_window.add(ticket.inspection_id)
                return ticket
        return None

    def wait(self, now: float, channels: Collection[Channel]) -> float | None:
        """Seconds until `take` may have something, as far as time alone can tell; None when only an event can."""
        moments = [self._awaiting[0][0]] if self._awaiting else []
        for channel in channels:
            ticket = self._head(channel)
            if ticket is not None and not self._is_full(channel):
                moments.append(max(ticket.due, self._lanes[channel].open_at))
        return max(0.0, min(moments) - now) if moments else None

    def sent(self, ticket: Ticket, size_bytes: int, now: float) -> None:
        """The ticket's message goes to the link now."""
        ticket.sent_at = now
        if ticket.channel == "backlog" and self._policy.backlog_bytes_per_second:
            self._lanes["backlog"].throttled_until = now + size_bytes / self._policy.backlog_bytes_per_second

    def not_sent(self, ticket: Ticket, now: float) -> None:
        """The ticket's message did not go out: the link is full or down, or the outbox cannot be read."""
        if self._tickets.get(ticket.inspection_id) is ticket and ticket.state == "in_flight":
            ticket.sends -= 1
            self._make_ready(ticket, ticket.due)
        self.pause(ticket.channel, now)

    def ticket(self, inspection_id: str) -> Ticket | None:
        """The ticket of an open inspection."""
        return self._tickets.get(inspection_id)

    def accepted(self, inspection_id: str, now: float) -> None:
        """The broker took it; its verdict is awaited, and it is due again when that does not come."""
        ticket = self._tickets.get(inspection_id)
        if ticket is None:
            return
        self.resume(ticket.channel)
        if ticket.state == "in_flight":
            ticket.state, ticket.uplink_seconds = "awaiting", now - ticket.sent_at
            ticket.due = now + self._resend_seconds(ticket.sends)
            heapq.heappush(self._awaiting, (ticket.due, ticket.sequence, inspection_id))

    def refused(self, inspection_id: str, now: float) -> None:
        """The broker refused it, or it has no subscriber: it is due again, and its channel waits."""
        ticket = self._tickets.get(inspection_id)
        if ticket is not None and ticket.state == "in_flight":
            self._make_ready(ticket, ticket.sent_at)
            self.pause(ticket.channel, now)

    def pause(self, channel: Channel, now: float) -> None:
        """Nothing can be sent over a channel: leave it alone for a time that grows with each refusal, with jitter."""
        lane = self._lanes[channel]
        if lane.paused_until > now:
            return
        lane.paused_until = now + _PAUSE.seconds(lane.refusals, self._rng)
        lane.refusals += 1

    def resume(self, channel: Channel) -> None:
        """A channel can be used again."""
        self._lanes[channel].refusals = 0
        self._lanes[channel].paused_until = -math.inf

    def all_due(self, now: float) -> None:
        """Everything that waits is due at once, because the service that received it may be gone."""
        for channel in CHANNELS:
            self.resume(channel)
        for ticket in self._tickets.values():
            ticket.disturbed = True
            if ticket.state == "awaiting" or ticket.due > now:
                self._make_ready(ticket, now)

    def again(self, inspection_id: str, now: float) -> None:
        """Its message was damaged on the way: due at once the first time, after a back-off when that repeats."""
        ticket = self._tickets.get(inspection_id)
        if ticket is not None and ticket.state != "ready":
            self._make_ready(ticket, now if ticket.sends <= 1 else now + self._resend_seconds(ticket.sends))

    def answered(self, inspection_id: str, now: float) -> Ticket | None:
        """The verdict came: forget the ticket."""
        ticket = self._remove(inspection_id)
        if ticket is not None and ticket.sends == 1 and ticket.channel == "frame" and not ticket.disturbed:
            self._answers.append(now - ticket.sent_at)
        return ticket

    def _remove(self, inspection_id: str) -> Ticket | None:
        ticket = self._tickets.pop(inspection_id, None)
        if ticket is not None:
            lane = self._lanes[ticket.channel]
            lane.tickets -= 1
            lane.in_window.discard(inspection_id)
        return ticket

    def _resend_seconds(self, sends: int) -> float:
        """At least the first wait; from the second on, a random share of a doubling bound is added (full jitter)."""
        first = self._policy.first_resend_seconds
        if self._answers:
            ranked = sorted(self._answers)
            first = max(first, _P99_MULTIPLE * ranked[math.ceil(0.99 * len(ranked)) - 1])
        first = min(first, max(_LONGEST_FIRST_RESEND_SECONDS, self._policy.first_resend_seconds))
        bound = min(_LONGEST_RESEND_SECONDS, first * 2.0 ** min(sends - 1, 16))
        return first + (self._rng.uniform(0.0, bound) if sends > 1 else 0.0)

    def _is_full(self, channel: Channel) -> bool:
        return channel == "backlog" and len(self._lanes[channel].in_window) >= self._policy.backlog_window

    def _advance(self, now: float) -> None:
        """Make due tickets ready, behind those that were never sent, and move live ones that grew old."""
        while self._awaiting and self._awaiting[0][0] <= now:
            due, _, inspection_id = heapq.heappop(self._awaiting)
            ticket = self._tickets.get(inspection_id)
            if ticket is not None and ticket.state == "awaiting" and ticket.due == due:
                self._make_ready(ticket, due)
        ticket = self._head("frame")
        while ticket is not None and now - ticket.captured > self._policy.live_seconds:
            self._lanes["frame"].tickets -= 1
            self._lanes["backlog"].tickets += 1
            ticket.channel = "backlog"
            self._make_ready(ticket, ticket.due)
            ticket = self._head("frame")

    def _make_ready(self, ticket: Ticket, due: float) -> None:
        ticket.state, ticket.due = "ready", due
        lane = self._lanes[ticket.channel]
        lane.in_window.discard(ticket.inspection_id)
        heapq.heappush(lane.ready, (due, ticket.sequence, ticket.inspection_id))

    def _head(self, channel: Channel) -> Ticket | None:
        """The first ready ticket of a channel; entries that no longer say the truth are thrown away."""
        heap = self._lanes[channel].ready
        while heap:
            due, _, inspection_id = heap[0]
            ticket = self._tickets.get(inspection_id)
            if ticket and (ticket.state, ticket.channel, ticket.due) == ("ready", channel, due):
                return ticket
            heapq.heappop(heap)
        return None
