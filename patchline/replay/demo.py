"""The demonstration: stations with different drawn products, from nothing to a report in a few minutes."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from PIL import Image

from patchline.artifacts.artifact import Artifact
from patchline.commissioning.commission import OnPhase, Request
from patchline.pictures.files import GOOD
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.line import Line
from patchline.replay.ledger import Entry
from patchline.replay.replay import described, new_folder
from patchline.replay.scenario import Scenario, StationPlan
from patchline.replay.shared_bank import commission_for
from patchline.wire.errors import UnavailableError
from patchline.wire.topics import Station

SIZE = (224, 224)
GOOD_PARTS = 100
DEFECT_RATE = 0.25
CODEC = "webp:80"
TAKT_SECONDS = 0.8
DETECTORS = {"washer": "patchcore", "board": "padim", "label": "padim", "weave": "patchcore"}
"""Product of the first, second, ... station -> its detector; after the last the first comes again.

What lies the same way every time is compared place by place (PaDiM): a bare patch of a board is normal, but not where a
component belongs. What is turned or woven at random is compared with one bank for all places (PatchCore).
"""

NOTE = "The parts are drawn: they show how the line works, and say nothing about accuracy on real parts."

_COMPRESS_LEVEL = 1


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What a person asks of the demonstration.

    Attributes:
        report: Where everything is written; new or empty.
        seconds: How long the line produces.
        codec: What the stations encode with.
        backbone: The packaged one, or MobileNetV2, when empty.
    """

    report: Path
    seconds: float = 40.0
    stations: int = 2
    seed: int = 0
    takt_seconds: float = TAKT_SECONDS
    codec: str = CODEC
    backbone: str = ""
    good_parts: int = GOOD_PARTS


def prepare(options: DemoOptions, *, on_phase: OnPhase) -> Scenario:
    """Draw the parts, write their truth down, and commission a station for each product.

    Raises:
        MisconfiguredError: The report's folder holds something, or there is no backbone.
        UnavailableError: The disk is full.
    """
    new_folder(options.report)
    products = list(islice(cycle(DETECTORS), options.stations))
    stations = [str(Station("demo", product, f"station-{place + 1}")) for place, product in enumerate(products)]
    artifacts: dict[str, Artifact] = {}
    for product in dict.fromkeys(products):
        makers = [station for station, made in zip(stations, products, strict=True) if made == product]
        artifacts[product] = _commission(options, product, makers, on_phase)
    plans = tuple(
        StationPlan(
            station=station,
            entries=tuple(_draw_parts(options, place, station, product, on_phase)),
            source=_source(options, place, product),
        )
        for place, (station, product) in enumerate(zip(stations, products, strict=True))
    )
    return Scenario(
        title=f"Demonstration: a line that makes {' and '.join(dict.fromkeys(_plural(p) for p in products))}",
        note=NOTE,
        directory=options.report,
        stations=plans,
        artifacts=options.report / "artifacts",
        takt_seconds=options.takt_seconds,
        configuration={
            "stations": options.stations,
            "takt_seconds": options.takt_seconds,
            "defect_rate": DEFECT_RATE,
            "products": products,
            **{product: described(artifact) for product, artifact in artifacts.items()},
        },
    )


def _commission(options: DemoOptions, product: str, stations: list[str], on_phase: OnPhase) -> Artifact:
    """Draw good parts from a line of their own and learn from them."""
    line = Line(PRODUCTS[product], _seed(options, "good"), 0.0, SIZE)
    folder = options.report / "pictures" / product / GOOD
    for index in range(options.good_parts):
        on_phase(f"draw good {_plural(product)}", index, options.good_parts)
        _save(Image.fromarray(line.part_with(index, GOOD).pixels), folder / f"{index:04d}.png")
    on_phase(f"draw good {_plural(product)}", options.good_parts, options.good_parts)
    request = Request(
        data=folder,
        station=Station.parse(stations[0]),
        codecs=(options.codec,),
        out=options.report / "artifacts",
        backbone=options.backbone,
        detector=DETECTORS[product],
        input_size=SIZE,
        seed=options.seed,
    )
    return commission_for(
        request, stations, on_phase=lambda phase, done, total: on_phase(f"{product}: {phase}", done, total)
    )


def _draw_parts(options: DemoOptions, place: int, station: str, product: str, on_phase: OnPhase) -> Iterator[Entry]:
    """The truth of the parts a station will draw: what is wrong with each is known before the line starts."""
    line = Line(PRODUCTS[product], _seed(options, "line") + place, DEFECT_RATE, SIZE)
    folder = options.report / "pictures" / product / f"station-{place + 1}"
    count = _count(options)
    phase = f"draw the {_plural(product)} of station {place + 1}"
    for index in range(count):
        on_phase(phase, index, count)
        part = line.part(index)
        picture, mask = folder / f"{index:04d}.png", folder / f"{index:04d}_mask.png"
        _save(Image.fromarray(part.pixels), picture)
        if part.label != GOOD:
            _save(Image.fromarray(part.mask), mask)
        yield Entry(
            station=station,
            part_id=f"{product}-{line.seed}-{index:06d}",
            label=part.label,
            picture=str(picture.resolve()),
            mask=None if part.label == GOOD else str(mask.resolve()),
        )
    on_phase(phase, count, count)


def _source(options: DemoOptions, place: int, product: str) -> dict[str, Any]:
    """The settings of the station's synthetic source: it draws the same parts again, one for each trigger."""
    return {
        "kind": "synthetic",
        "product": product,
        "size": SIZE,
        "seed": _seed(options, "line") + place,
        "parts": _count(options),
        "defect_share": DEFECT_RATE,
    }


def _count(options: DemoOptions) -> int:
    return max(2, round(options.seconds / options.takt_seconds))


def _seed(options: DemoOptions, purpose: str) -> int:
    """Parts to learn from and parts to judge never share a seed."""
    return options.seed * 1000 + {"good": 0, "line": 1}[purpose]


def _save(image: Image.Image, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, "PNG", compress_level=_COMPRESS_LEVEL)
    except OSError as error:
        raise UnavailableError(f"{path} cannot be written: {error.strerror}") from error


def _plural(product: str) -> str:
    return f"{product}s"
