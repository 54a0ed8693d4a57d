"""The line that a backlog is measured on: broker and service stay up, stations come one after the other."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from edge_node.outbox.journal import JournalLine
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Trigger
from patchline.pictures.files import Category, open_picture
from patchline.replay.broker import Broker
from patchline.replay.ledger import Entry, write_plan
from patchline.replay.processes import Program
from patchline.replay.program_records import journal_of
from patchline.replay.settings_files import toml
from patchline.vision.codecs.lookup import codec_of
from patchline.vision.pixels.preprocessing import resize
from patchline.wire.errors import UnavailableError
from patchline.wire.messages import FrameMessage, Profile, pack, sha256_of
from patchline.wire.topics import Station

CODEC = "webp:80"
STATION = Station("backlog", "line", "one")
EARLIER_BOOT = "an earlier boot"
_POLL_SECONDS = 0.25


class BacklogLine:
    """Broker and service, up; stations come one after the other."""

    def __init__(self, folder: Path, category: Category, profile: Profile, broker: Broker, takt_seconds: float) -> None:
        self._folder, self._category, self._profile, self._broker = folder, category, profile, broker
        self._takt_seconds = takt_seconds
        self.records_url = records_url(folder)

    def outbox(self, name: str) -> Path:
        """A station's outbox."""
        return self._folder / name / "outbox.sqlite"

    def closed(self, name: str) -> list[JournalLine]:
        """What a station has closed so far."""
        return journal_of(self.outbox(name))

    def fill(self, name: str, count: int, on_phase: Callable[[str, int, int], None]) -> list[str]:
        """Let an earlier boot of a station have kept so many frames; their inspection ids."""
        codec, size, profile_codec = codec_of(CODEC), self._profile.input_size, self._profile.ladder[0]
        payloads = [codec.encode(resize(open_picture(sample.path), size)) for sample in self._category.test]
        (self._folder / name).mkdir(parents=True)
        outbox = Outbox(self.outbox(name), str(STATION), boot_id=EARLIER_BOOT, clock_id="gone", budget_bytes=1 << 34)
        names = []
        for number, payload in zip(range(count), itertools.cycle(payloads), strict=False):
            inspection_id, part_id, now = str(uuid4()), f"waiting-{number:05d}", time.time()
            row = outbox.reserve(
                Trigger(inspection_id=inspection_id, part_id=part_id, captured_at=now, captured_monotonic=0.0)
            )
            frame = FrameMessage(
                inspection_id=row.inspection_id,
                station=str(STATION),
                boot_id=EARLIER_BOOT,
                sequence=row.sequence,
                part_id=part_id,
                captured_at=now,
                artifact=profile_codec.artifact,
                codec=profile_codec.codec,
                payload=payload,
                payload_sha256=sha256_of(payload),
            )
            outbox.append(row, pack(frame), "frame", payload_bytes=len(payload), stages={})
            names.append(inspection_id)
            on_phase("fill the outbox", number + 1, count)
        outbox.close()
        return names

    def run_station(self, name: str, parts: int, *, until: Callable[[], bool], on_tick: Callable[[], None]) -> None:
        """Let a station capture until something holds, then stop it.

        Raises:
            UnavailableError: It ended by itself before.
        """
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        samples = itertools.cycle(self._category.test)
        entries = [
            Entry(
                station=str(STATION),
                part_id=f"{name}-{place:05d}",
                label=sample.label,
                picture=str(sample.path.resolve()),
            )
            for place, sample in zip(range(parts), samples, strict=False)
        ]
        write_plan(folder / "plan.jsonl", entries)
        settings = folder / "edge.toml"
        content = {
            "station": str(STATION),
            "finish_when_drained": False,
            "source": {"kind": "replay", "plan": folder / "plan.jsonl"},
            "trigger": {"takt_seconds": self._takt_seconds},
            "broker": {"port": self._broker.port},
            "outbox": {"path": self.outbox(name), "budget_bytes": 1 << 34},
            "profile": {"directory": folder / "profile"},
        }
        settings.write_text(toml(content), encoding="utf-8")
        station = Program(name, ["edge", "--config", str(settings)], folder / "log", {"OMP_NUM_THREADS": "1"})
        station.start()
        try:
            _wait(
                until if self.outbox(name).is_file() else lambda: self.outbox(name).is_file() and until(),
                station,
                on_tick,
            )
        finally:
            station.stop()


def _wait(until: Callable[[], bool], station: Program, on_tick: Callable[[], None]) -> None:
    while not until():
        if not station.running:
            raise UnavailableError(f"the station has ended: {station.last_words()}")
        on_tick()
        time.sleep(_POLL_SECONDS)


def records_url(folder: Path) -> str:
    """Where the service keeps its records."""
    return f"sqlite:///{folder / 'records.db'}"


def settings_of(folder: Path, broker: Broker) -> dict[str, Any]:
    """What the service is told."""
    return {
        "artifacts": folder / "artifacts",
        "broker": {"port": broker.port},
        "records": {"url": records_url(folder)},
    }
