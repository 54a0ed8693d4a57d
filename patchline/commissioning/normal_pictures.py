"""Pictures of good parts on the way a frame will go: read, resized, encoded, decoded, through the backbone.

For a feature codec the backbone comes first.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patchline.commissioning.held_out import BATCH_PICTURES
from patchline.pictures.files import open_picture, read_category
from patchline.vision.backbones.engine import Engine
from patchline.vision.codecs.features.protocol import FeatureCodec
from patchline.vision.codecs.image.protocol import ImageCodec
from patchline.vision.pixels.arrays import FeatureMaps, Pixels, Progress, Size
from patchline.vision.pixels.preprocessing import normalise, resize
from patchline.wire.errors import MisconfiguredError, UnreadableError

_ONE_SHAPE = 1.03
"""Width to height may differ so much from picture to picture: a cut that is a few pixels off."""
_TOLD_SIZES = 3


@dataclass(frozen=True)
class NormalPictures:
    """The good pictures of a folder.

    Attributes:
        pixels: `(N, H, W, 3)`, at the input size.
        unreadable: Why others were left out, one sentence each.
        doubts: What is odd about them and makes the threshold doubtful, one sentence each.
    """

    pixels: NDArray[np.uint8]
    unreadable: tuple[str, ...]
    doubts: tuple[str, ...]


def read_pictures(data: Path, size: Size, *, skip_unreadable: bool, on_progress: Progress) -> NormalPictures:
    """The good pictures of a folder at the input size.

    Raises:
        MisconfiguredError: There is no picture, or one cannot be read and may not be left out.
    """
    samples = read_category(data).train
    pictures: list[Pixels] = []
    unreadable: list[str] = []
    sizes: Counter[Size] = Counter()
    for done, sample in enumerate(samples):
        on_progress(done, len(samples))
        try:
            pixels = open_picture(sample.path)
            pictures.append(resize(pixels, size))
            sizes[pixels.shape[0], pixels.shape[1]] += 1
        except UnreadableError as error:
            unreadable.append(error.reason)
    on_progress(len(samples), len(samples))
    if unreadable and not skip_unreadable:
        more = f" (and {len(unreadable) - 1} more)" if len(unreadable) > 1 else ""
        raise MisconfiguredError(
            f"{unreadable[0]}{more}",
            where=str(data),
            remedy="repair or remove it, or leave such pictures out with --skip-unreadable",
        )
    if not pictures:
        raise MisconfiguredError(
            "there is no normal picture to learn from",
            where=str(data),
            remedy="give at least one; from about ten on there is a threshold, a hundred make it good",
        )
    return NormalPictures(np.stack(pictures), tuple(unreadable), tuple(_doubts(pictures, sizes, size)))


def _doubts(pictures: Sequence[Pixels], sizes: Counter[Size], size: Size) -> Iterator[str]:
    """Tell of copies, which are held out and seen all the same, and of pictures that are squeezed unlike the others."""
    copies = len(pictures) - len({hashlib.sha256(picture.tobytes()).digest() for picture in pictures})
    if copies:
        yield (
            f"{copies} of {len(pictures)} pictures are copies of others: what was to be held out has been seen, and"
            " the threshold comes out too low; take each picture once"
        )
    ratios = sorted(width / height for height, width in sizes)
    if ratios[-1] > _ONE_SHAPE * ratios[0]:
        told = ", ".join(f"{count} of {height}x{width}" for (height, width), count in sizes.most_common(_TOLD_SIZES))
        more = " and others" if len(sizes) > _TOLD_SIZES else ""
        yield (
            f"the pictures have several shapes ({told}{more}): each is squeezed to {size[0]}x{size[1]}, so a part looks"
            " different in each; take pictures of one camera, cut alike"
        )


def send_through(
    codec: ImageCodec, pictures: NDArray[np.uint8], on_progress: Progress
) -> tuple[NDArray[np.uint8], float]:
    """The pictures as the service will see them, and the mean size of their payloads in bytes."""
    decoded = np.empty_like(pictures)
    sizes = np.empty(len(pictures))
    for index, picture in enumerate(pictures):
        on_progress(index, len(pictures))
        payload = codec.encode(picture)
        decoded[index] = codec.decode(payload, (picture.shape[0], picture.shape[1]))
        sizes[index] = len(payload)
    on_progress(len(pictures), len(pictures))
    return decoded, float(sizes.mean())


def send_maps_through(codec: FeatureCodec, maps: FeatureMaps, on_progress: Progress) -> tuple[FeatureMaps, float]:
    """The feature maps as the service will get them, and the mean size of their payloads in bytes.

    Args:
        codec: A fitted one.
        maps: Of all pictures, `(N, C, h, w)` a tap; not changed.
        on_progress: Called with pictures done and pictures in all.
    """
    pictures = len(next(iter(maps.values())))
    decoded = {tap: np.empty_like(values) for tap, values in maps.items()}
    sizes = np.empty(pictures)
    for index in range(pictures):
        on_progress(index, pictures)
        payload = codec.encode({tap: values[index : index + 1] for tap, values in maps.items()})
        for tap, values in codec.decode(payload).items():
            decoded[tap][index] = values[0]
        sizes[index] = len(payload)
    on_progress(pictures, pictures)
    return decoded, float(sizes.mean())


def embed(engine: Engine, pictures: NDArray[np.uint8], on_progress: Progress) -> FeatureMaps:
    """The feature maps of all pictures, `(N, C, h, w)` a tap."""
    parts: list[FeatureMaps] = []
    for start in range(0, len(pictures), BATCH_PICTURES):
        on_progress(start, len(pictures))
        parts.append(engine.run(normalise(pictures[start : start + BATCH_PICTURES])))
    on_progress(len(pictures), len(pictures))
    return {tap: np.concatenate([part[tap] for part in parts]) for tap in engine.taps}


def silently(done: int, total: int) -> None:
    """Progress that is not reported."""
    del done, total
