"""A line of real processes for many rounds of one fault: broker, services, one station, and independent witnesses."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from edge_node.outbox.journal import JournalLine
from patchline.mqtt.settings import LinkSettings
from patchline.replay.broker import Broker
from patchline.replay.chaos_proxy import ChaosProxy
from patchline.replay.ledger import Entry, write_plan
from patchline.replay.namespaces import Namespace
from patchline.replay.processes import Program
from patchline.replay.program_records import journal_of
from patchline.replay.watcher import Watcher
from patchline.wire.errors import UnavailableError
from patchline.wire.topics import Topics
from tests.fixtures import postgresql
from tests.rigs.torture import settings, site
from tests.rigs.torture.ground import STATION, Ground
from tests.rigs.torture.needs import Needs
from tests.rigs.torture.places import PLACES, Place
from tests.rigs.torture.settings import KEEPALIVE_SECONDS, PATIENCE_SECONDS
from tests.rigs.torture.witnesses import lines_of, open_parts

_POLL_SECONDS = 0.01
_FAKETIME = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
)
_NARROW_BYTES_PER_SECOND = 40_000.0
_PROGRAMS_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def faketime_library() -> str:
    """Where libfaketime is; empty where it is not installed."""
    return next((path for path in _FAKETIME if Path(path).is_file()), "")


class Rig:
    """One line. Use it as a context manager; rounds follow each other on it.

    Args:
        folder: For everything it writes; new.
        ground: Pictures and artifacts.
        needs: What kind of a line it is.
        seed: Of the order of the pictures.

    Attributes:
        ledger: The truth: every part produced so far.
        troubles: What went wrong with the line itself, one sentence each.
    """

    def __init__(self, folder: Path, ground: Ground, needs: Needs, *, seed: int = 0) -> None:
        self.folder, self.ground, self.needs, self.seed = folder, ground, needs, seed
        self.topics = Topics()
        self.ledger: list[Entry] = []
        self.troubles: list[str] = []
        self.boots = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        needs = self.needs
        self.broker = Broker(self.folder / "broker", kind="mosquitto")
        self.site = site.make(self.folder, self.broker) if needs.site else None
        self.network = stack.enter_context(Namespace(0, _NARROW_BYTES_PER_SECOND)) if needs.narrow else None
        if self.network is not None:
            self.broker.addresses = [self.network.outside]
        if needs.broker_lines:
            settings.configure(self.broker, self.folder / "broker", needs.broker_lines)
        self.edge_place = self._place(stack, needs.edge_place, "edge")
        self.records_place = self._place(stack, needs.records_place, "records")
        stack.enter_context(self.broker)
        self.proxy = stack.enter_context(ChaosProxy(self.broker.port, seed=self.seed)) if needs.proxied else None
        self.records_url = (
            stack.enter_context(postgresql.database(self.folder / "postgres"))
            if needs.postgres
            else f"sqlite:///{self.records_place.folder / 'records.db'}"
        )
        self.watcher = self._watcher()
        self.watcher.start()
        stack.callback(self.watcher.stop)
        self.services = [self._service(number) for number in range(needs.workers)]
        for service in self.services:
            stack.callback(service.kill)
            service.start()
        online = self.until(lambda: self.watcher.wait_service(0.01) or any(not each.running for each in self.services))
        for service in self.services:
            if not online or not service.running:
                raise UnavailableError(f"{service.name} did not come online: {service.last_words()}")
        self.edge = self._edge()
        stack.callback(self.edge.kill)

    def deal(self, count: int) -> list[Entry]:
        """More parts for the ledger; their pictures come again and again, their names never."""
        first, fresh = len(self.ledger), []
        for number in range(first, first + count):
            path, label = self.ground.pictures[(number + self.seed) % len(self.ground.pictures)]
            if self.needs.poison and number % self.needs.poison == self.needs.poison - 1:
                path, label = self.ground.noise, "noise"
            fresh.append(
                Entry(station=str(STATION), part_id=f"part-{number:05d}", label=label, picture=str(path.resolve()))
            )
        self.ledger += fresh
        return fresh

    def boot_edge(self, entries: Sequence[Entry]) -> None:
        """Start the station on these parts."""
        plan = self.folder / "plan.jsonl"
        write_plan(plan, entries)
        self.boots += 1
        self.edge.start()

    def boot_edge_again(self) -> None:
        """Start a station that has ended: on those parts whose number it never gave, and one more."""
        known = self.numbered()
        left = [entry for entry in self.ledger if entry.part_id not in known]
        self.boot_edge([*left, *self.deal(1)])

    def exposed(self) -> list[str]:
        """The parts that have stood before the camera, as the witness at the source wrote down."""
        return lines_of(self.folder / "exposed.txt")

    def moved(self) -> list[str]:
        """Inspections whose gate moved, as the witness at the gate wrote down."""
        return [line.split()[0] for line in lines_of(self.folder / "moved.txt")]

    def journal(self) -> list[JournalLine]:
        """The station's own account."""
        return journal_of(self.outbox)

    def numbered(self) -> set[str]:
        """Parts that the station has given a number."""
        return {line.part_id for line in self.journal()} | set(open_parts(self.outbox))

    def judged(self) -> set[str]:
        """Parts that the wire has told a verdict or a drop of."""
        return {sighting.receipt.part_id for sighting in self.watcher.sightings()}

    @property
    def outbox(self) -> Path:
        """The station's outbox."""
        return self.edge_place.folder / "outbox.sqlite"

    def until(self, condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> bool:
        """Wait until a condition holds; whether it did in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def until_exposed(self, count: int) -> None:
        """Wait until so many more parts than now have been exposed, or the station ends."""
        goal = len(self.exposed()) + count
        self.until(lambda: len(self.exposed()) >= goal or not self.edge.running)

    def finish(self) -> None:
        """Wait until the station has ended by itself: every part closed."""
        if not self.until(lambda: not self.edge.running):
            self.troubles.append(f"the station did not finish within {PATIENCE_SECONDS:g} s: {self.edge.last_words()}")
            self.edge.kill()
        elif self.edge.exit_code != 0:
            self.troubles.append(f"the station ended with code {self.edge.exit_code}: {self.edge.last_words()}")

    def _place(self, stack: ExitStack, kind: str, name: str) -> Place:
        return stack.enter_context(PLACES[kind](self.folder / name))

    def _watcher(self) -> Watcher:
        tls = self.site.settings_of("operator") if self.site else None
        link = LinkSettings(
            port=self.broker.port, client_id="torture-watcher", tls=tls, keepalive_seconds=KEEPALIVE_SECONDS
        )
        return Watcher(link, self.topics, self.folder / "maps", [str(STATION)], site=STATION.site)

    def _service(self, number: int) -> Program:
        path = settings.write_service(
            self.folder,
            number,
            artifacts=self.ground.artifacts,
            port=self.broker.port,
            tls=self.site.tls_of("analytics") if self.site else None,
            group="torture" if self.needs.workers > 1 else "",
            records=self.records_url,
        )
        folder = path.parent
        return Program(f"worker-{number}", ["serve", "--config", str(path)], folder / "log", _PROGRAMS_ENVIRONMENT)

    def _edge(self) -> Program:
        settings.write_station(
            self.folder,
            self.needs,
            broker={
                "port": self.proxy.port if self.proxy else self.broker.port,
                "host": self.network.outside if self.network else self.broker.host,
            },
            tls=self.site.tls_of(str(STATION)) if self.site else None,
            outbox=self.outbox,
        )
        environment = dict(_PROGRAMS_ENVIRONMENT)
        if self.needs.fake_clock:
            self.set_clock("+0")
            environment |= {
                "LD_PRELOAD": faketime_library(),
                "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        names = ("station/edge.toml", "exposed.txt", "moved.txt")
        return Program(
            "station",
            [str(self.folder / name) for name in names],
            self.folder / "station" / "log",
            environment,
            module="tests.rigs.torture.station",
            prefix=self.network.prefix if self.network else (),
        )

    def set_clock(self, offset: str) -> None:
        """Let the station's wall clock be wrong by so much, such as `+3600` or `-3600`, from now on."""
        new = self.folder / "clock.new"
        new.write_text(offset + "\n", encoding="utf-8")
        os.replace(new, self.folder / "clock")  # noqa: PTH105 - atomic, and read by a library
