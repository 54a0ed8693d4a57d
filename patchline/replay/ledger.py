"""The truth ledger: what the simulated line will produce and what is true of it. It never goes on the wire."""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from patchline.pictures.files import GOOD, Category, Sample
from patchline.wire.errors import MisconfiguredError


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One part the line will produce.

    Attributes:
        station: `site/line/station`, where its trigger will fire.
        part_id: The only name of the part that travels; it says nothing of the label.
        label: `good`, or the kind of defect.
        picture: The picture the station will see.
        mask: The picture of the defect's exact place, where the data has one.
    """

    station: str
    part_id: str
    label: str
    picture: str
    mask: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Station and part id: what a verdict is joined by."""
        return self.station, self.part_id

    @property
    def defective(self) -> bool:
        """Whether the part ought to be rejected."""
        return self.label != GOOD


class PlannedShot(msgspec.Struct, frozen=True, kw_only=True):
    """What the replay source of a station gets of a part: all it needs, and nothing of the truth."""

    path: str
    part_id: str


def deal(category: Category, stations: Sequence[str], *, seed: int, limit: int | None = None) -> list[Entry]:
    """Shuffle a category's test pictures and deal them to the stations in turn.

    Args:
        category: The pictures, with their truth.
        stations: `site/line/station` of each station.
        seed: Decides the order.
        limit: Deal so many parts; beyond the number of pictures, these come again in another order.

    Raises:
        MisconfiguredError: There is no test picture, or fewer than stations.
    """
    rng = random.Random(seed)  # noqa: S311 - an order, not a secret
    wanted = len(category.test) if limit is None else limit
    samples: list[Sample] = []
    while len(samples) < wanted and category.test:
        samples += rng.sample(category.test, k=min(len(category.test), wanted - len(samples)))
    if len(samples) < len(stations):
        raise MisconfiguredError(
            f"{len(samples)} test pictures cannot keep {len(stations)} stations busy",
            where=f"category {category.name}",
            remedy="take fewer stations or add pictures under test/",
        )
    return [
        Entry(
            station=stations[place % len(stations)],
            part_id=f"part-{place + 1:05d}",
            label=sample.label,
            picture=str(sample.path.resolve()),
            mask=None if sample.mask_path is None else str(sample.mask_path.resolve()),
        )
        for place, sample in enumerate(samples)
    ]


def write_lines(path: Path, rows: Iterable[msgspec.Struct]) -> None:
    """Write structs as JSON, one a line."""
    path.write_bytes(msgspec.json.Encoder().encode_lines(list(rows)))


def write_plan(path: Path, entries: Iterable[Entry]) -> None:
    """Write the part of the ledger a station may see, in the order it will see it."""
    write_lines(path, (PlannedShot(path=entry.picture, part_id=entry.part_id) for entry in entries))


def check_ledger(entries: Sequence[Entry]) -> None:
    """Make sure that no two parts of a ledger have the same identity.

    Raises:
        MisconfiguredError: A station has two parts of one id.
    """
    seen: set[tuple[str, str]] = set()
    for entry in entries:
        if entry.key in seen:
            raise MisconfiguredError(
                f"part {entry.part_id} stands twice at station {entry.station}", where="truth ledger"
            )
        seen.add(entry.key)
