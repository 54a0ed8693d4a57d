"""The publisher beside the threads of links and verdicts, interleaved at each point where another thread can run."""

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge_node.delivery.publisher import Publisher
from edge_node.delivery.retry_schedule import RetrySchedule
from edge_node.delivery.ticket import SchedulePolicy
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Closing, Trigger
from patchline.mqtt.delivery import Acknowledged
from patchline.wire.errors import UnavailableError
from patchline.wire.topics import Station, Topics

WINDOW = 1
RARELY = st.sampled_from([False, False, False, True])
EVENTS = ["nothing", "nothing", "verdict", "verdict", "another verdict", "damaged", "service", "link"]
MEANWHILE = st.lists(st.sampled_from(EVENTS), min_size=3, max_size=3)
"""What other threads do before a message is read, after that, and while the link takes it."""


class Line:
    """Both links. Other threads run when a message is handed over; the broker answers when the test says so."""

    def __init__(self, machine: "PublisherMachine") -> None:
        self.machine = machine

    def start(self) -> None:
        self.machine.publisher.connected("backlog")

    def stop(self, timeout_seconds: float) -> None:
        """The test's broker has nothing to say goodbye to."""

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        correlation: bytes = b"",
        on_done: Callable[[Acknowledged], None] | None = None,
        **properties: Any,
    ) -> None:
        assert topic
        assert properties
        assert payload == b"message"
        self.machine.other_threads(correlation.decode())
        if self.machine.link_is_full:
            raise UnavailableError("the link is full")
        self.machine.sent.add(correlation.decode())
        assert on_done is not None
        self.machine.unanswered.append(on_done)


class WatchedOutbox(Outbox):
    """The real outbox. Other threads run before and after a message is read."""

    machine: "PublisherMachine"

    def message(self, sequence: int) -> bytes | None:
        name = self.machine.names[sequence]
        self.machine.other_threads(name)
        if self.machine.disk_fails:
            raise UnavailableError("the disk fails")
        message = super().message(sequence)
        self.machine.other_threads(name)
        return message


class PublisherMachine(RuleBasedStateMachine):
    """Each step of the publisher is one rule; what other threads do within it is drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.outbox = WatchedOutbox(
            Path(self.folder.name) / "outbox.sqlite",
            "a/b/c",
            boot_id="boot",
            clock_id="clock",
            budget_bytes=10**7,
            journal_lines=100,
        )
        self.outbox.machine = self
        self.names: dict[int, str] = {}
        self.open: list[str] = []
        self.sent: set[str] = set()
        self.unanswered: list[Callable[[Acknowledged], None]] = []
        self.meanwhile: list[str] = []
        self.link_is_full = self.disk_fails = False
        self.publisher = Publisher(
            self.outbox,
            RetrySchedule(SchedulePolicy(first_resend_seconds=1e6, backlog_window=WINDOW), random.Random(1)),
            topics=Topics(),
            station=Station.parse("a/b/c"),
            metrics=EdgeMetrics(),
            open_backlog=lambda _: Line(self),
        )
        self.publisher.attach(Line(self))
        self.publisher.connected("frame")

    def other_threads(self, name: str) -> None:
        if self.meanwhile:
            self.happen(self.meanwhile.pop(0), name)

    def happen(self, event: str, name: str) -> None:
        match event:
            case "verdict":
                self.close(name)
            case "another verdict" if self.open:
                self.close(self.open[0])
            case "damaged":
                self.publisher.again(name)
            case "service":
                self.publisher.service_born()
            case "link":
                self.publisher.disconnected("frame")
                self.publisher.connected("frame")

    def close(self, name: str) -> None:
        if name in self.open:
            self.open.remove(name)
            self.outbox.confirm(name, Closing(outcome="normal"))
            self.publisher.closed(name)

    @rule(historical=st.booleans())
    def a_part_is_kept(self, *, historical: bool) -> None:
        name = str(uuid4())
        row = self.outbox.reserve(Trigger(inspection_id=name, part_id="p", captured_at=1.0, captured_monotonic=0.0))
        self.outbox.append(row, b"message", "frame", stages={})
        self.names[row.sequence] = name
        self.open.append(name)
        self.publisher.kept(row, historical=historical)

    @rule(meanwhile=MEANWHILE, disk_fails=RARELY, link_is_full=RARELY)
    def the_publisher_sends(self, *, meanwhile: list[str], disk_fails: bool, link_is_full: bool) -> None:
        self.meanwhile, self.disk_fails, self.link_is_full = meanwhile, disk_fails, link_is_full
        try:
            self.step()
        except UnavailableError:
            assert disk_fails
        self.meanwhile, self.disk_fails, self.link_is_full = [], False, False

    @rule(accepted=st.booleans())
    def the_broker_answers(self, *, accepted: bool) -> None:
        if self.unanswered:
            self.unanswered.pop(0)(Acknowledged(accepted=accepted, reason=""))

    @rule(event=st.sampled_from(["another verdict", "service", "link"]))
    def something_happens_between_two_sends(self, event: str) -> None:
        self.happen(event, "")

    @invariant()
    def the_outbox_holds_the_open_parts(self) -> None:
        assert self.outbox.state.rows == len(self.open)

    def step(self) -> None:
        self.publisher._tend_backlog_link()
        self.publisher.send_next()

    def teardown(self) -> None:
        """From any state: once the link and the disk work, every open part is sent, and closed by its verdict."""
        self.sent.clear()
        for _ in range(20 * (len(self.open) + 1)):
            self.publisher.connected("backlog")
            self.publisher.connected("frame")
            while self.unanswered:
                self.unanswered.pop()(Acknowledged(accepted=True, reason=""))
            self.step()
            for name in sorted(self.sent.intersection(self.open)):
                self.close(name)
        assert not self.open
        self.outbox.close()
        self.folder.cleanup()


TestPublisher = PublisherMachine.TestCase
TestPublisher.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
