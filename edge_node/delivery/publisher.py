"""Sends each row of the outbox until its verdict returns: live parts first, the backlog by a link of its own."""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from edge_node.delivery.retry_schedule import RetrySchedule
from edge_node.delivery.ticket import CHANNELS, Channel, Progress, Ticket
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Row, drop_message, traceparent_of
from patchline.mqtt.delivery import Acknowledged
from patchline.mqtt.send_window import TooLargeError
from patchline.runtime.loops import run_loop
from patchline.wire.errors import UnavailableError, UnreadableError
from patchline.wire.messages import CONTENT_TYPE_FRAME, DropReason
from patchline.wire.topics import Station, Topics

_log = logging.getLogger(__name__)

_IDLE_WAIT_SECONDS = 1.0
_STOP_SECONDS = 1.0


class Carrier(Protocol):
    """The part of a link the publisher needs."""

    def start(self) -> None:
        """Connect, and connect again, in the background."""
        ...

    def stop(self, timeout_seconds: float) -> None:
        """Say goodbye."""
        ...

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        content_type: str = "",
        correlation: bytes = b"",
        user: tuple[tuple[str, str], ...] = (),
        on_done: Callable[[Acknowledged], None] | None = None,
    ) -> None:
        """Hand a message to the broker; raises `UnavailableError` or `TooLargeError`."""
        ...


class Publisher:
    """Owns the schedule. Everything but `run` returns at once and may be called from any thread.

    Args:
        outbox: Where messages are read from.
        schedule: What to send next.
        topics: The topic tree.
        station: Whose messages these are.
        metrics: Where sends are counted.
        open_backlog: Makes the backlog's link, when there is a backlog; it tells `connected` and `disconnected`.
    """

    def __init__(
        self,
        outbox: Outbox,
        schedule: RetrySchedule,
        *,
        topics: Topics,
        station: Station,
        metrics: EdgeMetrics,
        open_backlog: "Callable[[Publisher], Carrier]",
    ) -> None:
        self._outbox, self._schedule, self._station, self._metrics = outbox, schedule, station, metrics
        self._topics = {channel: topics.of(station, channel) for channel in CHANNELS}
        self._open_backlog = open_backlog
        self._links: dict[Channel, Carrier] = {}
        self._up: set[Channel] = set()
        self._changed = threading.Condition()

    def attach(self, link: Carrier) -> None:
        """The live link, before `run`."""
        self._links["frame"] = link

    def connected(self, channel: Channel) -> None:
        """A link is up. A verdict that was published while the live link was down is lost, so everything is due."""
        with self._changed:
            self._up.add(channel)
            self._schedule.resume(channel)
            if channel == "frame":
                self._schedule.all_due(time.monotonic())
            self._changed.notify()

    def disconnected(self, channel: Channel) -> None:
        """A link is down."""
        with self._changed:
            self._up.discard(channel)
            self._changed.notify()

    def kept(self, row: Row, *, keep_seconds: float = 0.0, historical: bool = False) -> None:
        """A row can be sent; rows of earlier boots are historical."""
        with self._changed:
            captured = float("-inf") if historical else row.captured_monotonic
            now = time.monotonic()
            self._schedule.add(row.inspection_id, row.sequence, captured, now, keep_seconds=keep_seconds)
            self._changed.notify()

    def progress(self, inspection_id: str) -> Progress:
        """How far an open inspection is."""
        with self._changed:
            ticket = self._schedule.ticket(inspection_id)
            return Progress(ticket.sends, ticket.keep_seconds, ticket.uplink_seconds) if ticket else Progress()

    def closed(self, inspection_id: str) -> None:
        """A row is closed."""
        with self._changed:
            self._schedule.answered(inspection_id, time.monotonic())
            self._changed.notify()

    def again(self, inspection_id: str) -> None:
        """A row's message was damaged on the way."""
        with self._changed:
            self._schedule.again(inspection_id, time.monotonic())
            self._changed.notify()

    def service_born(self) -> None:
        """A service came up: whatever waits is due at once."""
        with self._changed:
            self._schedule.all_due(time.monotonic())
            self._changed.notify()

    def wake(self) -> None:
        """Let `run` look at its `stop`."""
        with self._changed:
            self._changed.notify_all()

    def run(self, stop: threading.Event) -> None:
        """Send until stopped, then stop the backlog's link."""
        run_loop("publisher", partial(self._step, stop), stop, watchdog=self._metrics.watchdog)
        backlog = self._links.pop("backlog", None)
        if backlog is not None:
            backlog.stop(_STOP_SECONDS)

    def send_next(self) -> bool:
        """Send the next message that is due, if there is one; whether there was.

        Raises:
            UnavailableError: The outbox cannot be read or written.
        """
        with self._changed:
            ticket = self._schedule.take(time.monotonic(), self._channels)
        if ticket is not None:
            self._send(ticket)
        return ticket is not None

    def _step(self, stop: threading.Event) -> None:
        self._tend_backlog_link()
        if not self.send_next():
            self._wait_for_work(stop)

    @property
    def _channels(self) -> set[Channel]:
        return self._up & self._links.keys()  # a link that was given up may still report that it is up

    def _wait_for_work(self, stop: threading.Event) -> None:
        with self._changed:
            if not stop.is_set():
                wait = self._schedule.wait(time.monotonic(), self._channels)
                self._changed.wait(_IDLE_WAIT_SECONDS if wait is None else min(wait, _IDLE_WAIT_SECONDS))

    def _tend_backlog_link(self) -> None:
        with self._changed:
            wanted = bool(self._schedule.backlog) and "frame" in self._up
        if wanted and "backlog" not in self._links:
            _log.info("backlog of %s opened: %d inspections wait", self._station, self._schedule.backlog)
            self._links["backlog"] = self._open_backlog(self)
            self._links["backlog"].start()
        elif not self._schedule.backlog and "backlog" in self._links:
            self._links.pop("backlog").stop(_STOP_SECONDS)
            self.disconnected("backlog")
            _log.info("backlog of %s is empty", self._station)

    def _send(self, ticket: Ticket) -> None:
        """Send a ticket that was taken; whatever happens, its place in the schedule's window is given back."""
        try:
            message = self._outbox.message(ticket.sequence)
            if message is None:
                self.closed(ticket.inspection_id)
            else:
                self._hand_over(ticket, message)
        except UnreadableError as error:
            self._give_up(ticket, "interrupted", error.reason)
        except UnavailableError:
            self._not_sent(ticket)
            raise

    def _hand_over(self, ticket: Ticket, message: bytes) -> None:
        """Give a message to the link; the broker's answer may come before this returns."""
        with self._changed:
            self._schedule.sent(ticket, len(message), time.monotonic())
        try:
            self._publish(ticket, message)
        except UnavailableError as error:
            _log.debug("number %d waits for the link: %s", ticket.sequence, error)
            self._not_sent(ticket)
        except TooLargeError as error:
            self._give_up(ticket, "too_large", str(error))
        else:
            self._metrics.sends.labels(ticket.channel).inc()
            if ticket.sends > 1:
                self._metrics.resends.inc()

    def _not_sent(self, ticket: Ticket) -> None:
        with self._changed:
            self._schedule.not_sent(ticket, time.monotonic())

    def _publish(self, ticket: Ticket, message: bytes) -> None:
        self._links[ticket.channel].publish(
            self._topics[ticket.channel],
            message,
            content_type=CONTENT_TYPE_FRAME,
            correlation=ticket.inspection_id.encode(),
            user=(("traceparent", traceparent_of(ticket.inspection_id)),),
            on_done=partial(self._done, ticket.inspection_id),
        )

    def _done(self, inspection_id: str, fate: Acknowledged) -> None:
        """On the link's thread: the broker's answer stops the clock of the link, never the row's."""
        with self._changed:
            if fate.accepted:
                self._schedule.accepted(inspection_id, time.monotonic())
            else:
                self._schedule.refused(inspection_id, time.monotonic())
            self._changed.notify()
        if not fate.accepted:
            self._metrics.refusals.inc()

    def _give_up(self, ticket: Ticket, reason: DropReason, detail: str) -> None:
        """The broker would never take this message, or it is damaged: send a drop instead."""
        self._not_sent(ticket)
        row = self._outbox.row(ticket.inspection_id)
        if row is None or (row.kind == "drop" and reason == "too_large"):
            return
        _log.error("part %s cannot be sent and is dropped: %s", row.part_id, detail)
        self._outbox.append(row, drop_message(row, str(self._station), reason, detail), "drop", stages={})
        self._metrics.drops.labels(reason).inc()
        with self._changed:
            self._schedule.resume(ticket.channel)
