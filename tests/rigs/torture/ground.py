"""What all rounds stand on: drawn pictures, one commissioned station, and pictures too large for a narrow broker."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from patchline.commissioning.commission import Request, commission
from patchline.pictures.files import GOOD
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.line import Line
from patchline.replay.shared_bank import share
from patchline.wire.messages import Profile
from patchline.wire.topics import Station

STATION = Station("torture", "line", "one")
OTHER = Station("torture", "line", "other")
CODEC, OTHER_CODEC = "webp:80", "webp:60"
SIZE = (64, 64)
"""Small pictures: a round is about messages, and takes seconds."""

_GOOD_PICTURES = 16
_TEST_PICTURES = 12
_DEFECT_RATE = 0.3
_SEED = 71


@dataclass(frozen=True)
class Ground:
    """Files that no round changes.

    Attributes:
        artifacts: What commission wrote, with a profile for `STATION` and `OTHER`.
        pictures: (path, label) of the parts a station can see.
        noise: A picture that WebP cannot make small.
    """

    artifacts: Path
    pictures: tuple[tuple[Path, str], ...]
    noise: Path
    profile: Profile


def prepare(folder: Path) -> Ground:
    """Draw the pictures and commission the stations.

    Raises:
        MisconfiguredError: No backbone is here.
        UnavailableError: The disk does not take it.
    """
    good = Line(PRODUCTS["washer"], _SEED, 0.0, SIZE)
    for index in range(_GOOD_PICTURES):
        _save(good.part_with(index, GOOD).pixels, folder / "good" / f"{index:02d}.png")
    seen = Line(PRODUCTS["washer"], _SEED + 1, _DEFECT_RATE, SIZE)
    pictures = []
    for index in range(_TEST_PICTURES):
        part = seen.part(index)
        pictures.append((_save(part.pixels, folder / "parts" / f"{index:02d}.png"), part.label))
    noise = np.random.default_rng(_SEED).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    made = commission(
        Request(
            data=folder / "good",
            station=STATION,
            codecs=(CODEC, OTHER_CODEC),
            out=folder / "artifacts",
            input_size=SIZE,
            parameters={"coreset_ratio": 0.1},
        ),
        on_progress=lambda _phase, _done, _total: None,
    )
    share(made.profile, [str(STATION), str(OTHER)], folder / "artifacts")
    return Ground(folder / "artifacts", tuple(pictures), _save(noise, folder / "noise.png"), made.profile)


def _save(pixels: "np.typing.NDArray[np.uint8]", path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path
