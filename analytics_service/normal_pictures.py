"""Pictures of good parts on the way a frame will go: read, resized, encoded, decoded, through the backbone.

For a feature codec the backbone comes first.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analytics_service.held_out import BATCH_PICTURES
from pictures.files import open_picture, read_category
from vision.arrays import FeatureMaps, Pixels, Progress, Size
from vision.backbones.engine import Engine
from vision.codecs.feature_protocol import FeatureCodec
from vision.codecs.protocol import ImageCodec
from vision.preprocessing import normalise, resize
from wire_contract.errors import MisconfiguredError, UnreadableError


def read_pictures(
    data: Path, size: Size, *, skip_unreadable: bool, on_progress: Progress
) -> tuple[NDArray[np.uint8], list[str]]:
    """The good pictures of a folder at the input size, `(N, H, W, 3)`, and why others were left out.

    Raises:
        MisconfiguredError: There is no picture, or one cannot be read and may not be left out.
    """
    samples = read_category(data).train
    pictures: list[Pixels] = []
    unreadable: list[str] = []
    for done, sample in enumerate(samples):
        on_progress(done, len(samples))
        try:
            pictures.append(resize(open_picture(sample.path), size))
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
    return np.stack(pictures), unreadable


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
    """Progress that nobody is told."""
    del done, total
