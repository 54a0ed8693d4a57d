"""A simulated line: broker, service and stations as real processes, run from the first part to the last verdict."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_node.outbox.journal import JournalLine, read_journal
from patchline.mqtt.settings import LinkSettings
from patchline.replay import settings_files
from patchline.replay.broker import Broker, broker_version, free_port
from patchline.replay.constraints import Constraints, Terms
from patchline.replay.display import StationView, View
from patchline.replay.edge_metrics import Gauges
from patchline.replay.ledger import check_ledger, write_lines
from patchline.replay.processes import Program
from patchline.replay.program_records import recorded_verdicts
from patchline.replay.reconciliation import Sighting
from patchline.replay.scenario import Scenario, Timetable
from patchline.replay.watcher import Watcher
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import Verdict
from patchline.wire.topics import Topics

_POLL_SECONDS = 0.05
_VIEW_EVERY_SECONDS = 0.25
_SLOW_VIEW_EVERY_SECONDS = 1.0
"""Between looks at stations that are held back: answering takes a slow computer time that its parts have to wait."""
_SERVICE_START_SECONDS = 60.0
_LAST_MESSAGES_SECONDS = 3.0
_BETWEEN_CONNECTS_SECONDS = 1.0
"""amqtt 0.12 loses one of two clients that connect at once: it closes the connection, or never answers SUBSCRIBE."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a run left behind, for reconciliation.

    Attributes:
        sightings: What the watcher saw, and what the records hold.
        journals: Station -> its own account.
        map_file: Where an inspection's published map is, if one was seen.
        troubles: What went wrong with the run itself, one sentence each.
        broker: Which broker carried it, by name and version.
        constraints: How thin lines and slow computers were played, for the report's configuration.
    """

    sightings: Sequence[Sighting]
    journals: Mapping[str, Sequence[JournalLine]]
    map_file: Callable[[str], Path]
    troubles: Sequence[str]
    duration_seconds: float
    broker: str
    constraints: Mapping[str, Any] = field(default_factory=dict)


class Line:
    """The processes of one run.

    Args:
        scenario: What to run.
        on_view: Called a few times a second with what the line looks like; None to leave the stations unwatched.

    Raises:
        MisconfiguredError: There is no broker on this machine, or a part stands twice in the ledger.
    """

    def __init__(self, scenario: Scenario, *, on_view: Callable[[View], None] | None) -> None:
        check_ledger(scenario.entries)
        self._scenario, self._on_view = scenario, on_view
        self._broker = broker = Broker(scenario.directory / "broker")
        self._constraints = Constraints(
            len(scenario.stations),
            uplink_bytes_per_second=scenario.uplink_bytes_per_second,
            slowdown=scenario.edge_slowdown,
            by=scenario.constrained_by,
            broker_port=broker.port,
            listens_anywhere=broker.kind == "mosquitto",
        )
        broker.addresses = self._constraints.addresses
        held_back = scenario.edge_slowdown > 1.0 or scenario.uplink_bytes_per_second is not None
        self._view_every_seconds = _SLOW_VIEW_EVERY_SECONDS if held_back else _VIEW_EVERY_SECONDS
        self._watcher = Watcher(
            LinkSettings(port=broker.port, client_id="patchline-watcher", protocol=broker.protocol),
            Topics(),
            scenario.directory / "maps",
            [plan.station for plan in scenario.stations],
        )
        service = settings_files.analytics_file(scenario, port=broker.port, protocol=broker.protocol)
        self._service = self._program("analytics", "serve", service)
        self._edges: dict[str, Program] = {}
        self._gauges: dict[str, Gauges] = {}
        for place, plan in enumerate(scenario.stations):
            metrics_port, terms = free_port(), self._constraints.terms_of(place)
            settings = settings_files.edge_file(
                scenario,
                plan,
                port=broker.port,
                protocol=broker.protocol,
                metrics_port=metrics_port,
                delay_seconds=scenario.takt_seconds * place / len(scenario.stations),
                terms=terms,
            )
            self._edges[plan.station] = self._program(plan.slug, "edge", settings, terms)
            self._gauges[plan.station] = Gauges(metrics_port, terms.metrics_host)
        self._timetable = Timetable(scenario.kills, {"broker": broker, "analytics": self._service})

    def run(self) -> Seen:
        """Run the line until every station has ended, and gather what it left.

        Raises:
            MisconfiguredError: A program refused its settings.
            UnavailableError: A program did not start or died by itself.
        """
        write_lines(self._scenario.directory / "truth.jsonl", self._scenario.entries)
        with self._running():
            began = time.monotonic()
            troubles = self._until_drained(began)
            duration = time.monotonic() - began
            self._await_last_messages()
        outboxes = {plan.station: settings_files.outbox_file(self._scenario, plan) for plan in self._scenario.stations}
        journals = {station: list(read_journal(path)) for station, path in outboxes.items()}
        inspections = [line.inspection_id for lines in journals.values() for line in lines]
        records = recorded_verdicts(settings_files.records_url(self._scenario), inspections)
        return Seen(
            sightings=[*self._watcher.sightings(), *records],
            journals=journals,
            map_file=self._watcher.map_file,
            troubles=troubles,
            duration_seconds=duration,
            broker=broker_version(self._broker.kind),
            constraints=self._constraints.described(),
        )

    def _program(self, name: str, verb: str, settings: Path, terms: Terms = settings_files.UNCONSTRAINED) -> Program:
        log = self._scenario.directory / "logs" / f"{name}.log"
        arguments = [verb, "--config", str(settings)]
        return Program(name, arguments, log, prefix=terms.prefix, on_started=terms.on_started)

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Everything started in order, and ended in the opposite one whatever happens."""
        with ExitStack() as stack:
            stack.enter_context(self._constraints)
            stack.enter_context(self._broker)
            self._watcher.start()
            stack.callback(self._watcher.stop)
            stack.callback(self._service.stop)
            self._service.start()
            self._await_service()
            for place, edge in enumerate(self._edges.values()):
                if place and self._broker.kind == "amqtt":
                    time.sleep(_BETWEEN_CONNECTS_SECONDS)
                stack.callback(edge.stop)
                edge.start()
            yield

    def _await_service(self) -> None:
        deadline = time.monotonic() + _SERVICE_START_SECONDS
        while not self._watcher.wait_service(_POLL_SECONDS):
            self._service.check()
            if not self._service.running or time.monotonic() > deadline:
                raise UnavailableError(f"the service did not come online: {self._service.last_words()}")

    def _until_drained(self, began: float) -> list[str]:
        viewed = 0.0
        while any(edge.running for edge in self._edges.values()):
            now = time.monotonic() - began
            self._timetable.advance(now)
            for edge in self._edges.values():
                edge.check_settings()
            if self._timetable.over:
                self._service.check()
            if now - viewed >= self._view_every_seconds:
                viewed = now
                self._look(now)
            if now > self._scenario.time_limit_seconds:
                return [f"the line did not end within {self._scenario.time_limit_seconds:.0f} seconds"]
            time.sleep(_POLL_SECONDS)
        for edge in self._edges.values():
            edge.check_settings()
        self._look(time.monotonic() - began)
        return [
            f"station {station} ended with code {edge.exit_code}: {edge.last_words()}"
            for station, edge in self._edges.items()
            if edge.exit_code != 0
        ]

    def _await_last_messages(self) -> None:
        """Give the watcher the moment it needs to see what the stations have seen."""
        deadline = time.monotonic() + _LAST_MESSAGES_SECONDS
        while time.monotonic() < deadline and not self._all_seen():
            time.sleep(_POLL_SECONDS)

    def _all_seen(self) -> bool:
        receipts = {sighting.receipt.inspection_id: sighting.receipt for sighting in self._watcher.sightings()}
        if len(receipts) < len(self._scenario.entries):
            return False
        wanted = {"all": {"normal", "anomalous", "uncalibrated"}, "anomalous": {"anomalous"}, "none": set()}
        return all(
            self._watcher.map_file(inspection_id).is_file()
            for inspection_id, receipt in receipts.items()
            if isinstance(receipt, Verdict) and receipt.outcome in wanted[self._scenario.maps]
        )

    def _look(self, seconds: float) -> None:
        if self._on_view is not None:
            self._on_view(self._view(seconds))

    def _view(self, seconds: float) -> View:
        tallies = self._watcher.tallies()
        stations = {}
        for plan in self._scenario.stations:
            gauges, tally = self._gauges[plan.station], tallies[plan.station]
            reading = gauges.read() if self._edges[plan.station].running else None
            stations[plan.station] = StationView(
                planned=len(plan.entries),
                produced=tally.judged if reading is None else max(tally.judged, reading.produced),
                waiting=0 if reading is None else reading.waiting,
                tally=tally,
                p95_seconds=gauges.p95_seconds,
            )
        return View(seconds=seconds, stations=stations, last=self._watcher.last(), news=tuple(self._timetable.news))
