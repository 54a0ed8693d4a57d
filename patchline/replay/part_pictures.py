"""The pictures of a run, opened when somebody looks: parts, masks and published anomaly maps."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from patchline.pictures.files import Sample, open_mask, open_picture
from patchline.replay.ledger import Entry
from patchline.wire.errors import UnreadableError
from patchline.wire.messages import MapMessage, unpack


def part_pixels(entry: Entry) -> NDArray[np.uint8]:
    """The picture the station saw, (H, W, 3).

    Raises:
        UnreadableError: It is gone or damaged.
    """
    return open_picture(Path(entry.picture))


def part_mask(entry: Entry, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Where the part is defective, (H, W) at a size, resized to the nearest; None where it is unknown.

    Raises:
        UnreadableError: The mask's file is gone or damaged.
    """
    mask_path = None if entry.mask is None else Path(entry.mask)
    return open_mask(Sample(path=Path(entry.picture), label=entry.label, mask_path=mask_path), size)


def published_map(path: Path) -> NDArray[np.float32] | None:
    """An anomaly map as the service published it, (H, W) in raw distance units; None if none was seen.

    Raises:
        UnreadableError: The bytes are not a map.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return drawn_map(unpack(data, MapMessage))


def drawn_map(message: MapMessage) -> NDArray[np.float32]:
    """The distances a map message stands for: grey `g` is `low + (high - low) * g / 255`.

    Raises:
        UnreadableError: Its picture is not one.
    """
    try:
        with Image.open(io.BytesIO(message.picture)) as picture:
            grey = np.asarray(picture.convert("L"), dtype=np.float32)
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise UnreadableError(f"the map of {message.inspection_id} holds no picture: {error}", code="map") from error
    return (message.low + (message.high - message.low) * grey / 255.0).astype(np.float32)
