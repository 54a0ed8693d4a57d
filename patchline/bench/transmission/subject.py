"""The pictures of a category, read once for all scenarios."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patchline.pictures.files import GOOD, open_mask, open_picture, read_category
from patchline.replay.phases import OnPhase
from patchline.vision.pixels.arrays import Pixels, Size
from patchline.vision.pixels.preprocessing import resize
from patchline.wire.errors import MisconfiguredError


@dataclass(frozen=True)
class Subject:
    """What is looked at.

    Attributes:
        data: The category's folder.
        test: `(N, H, W, 3)` at the input size.
        truth: `(N,)`, whether a picture shows a defect.
        known: Indices of the pictures of which it is known where the defect is, normal ones among them.
        masks: `(H, W)` each, of those.
    """

    data: Path
    category: str
    test: Pixels
    truth: NDArray[np.bool_]
    known: NDArray[np.intp]
    masks: list[NDArray[np.bool_]]

    @property
    def size(self) -> Size:
        """Of the pictures."""
        return self.test.shape[1], self.test.shape[2]


def read_subject(data: Path, size: Size, *, on_phase: OnPhase) -> Subject:
    """Read a category's test pictures and masks.

    Raises:
        MisconfiguredError: It has no normal or no anomalous test picture.
        UnreadableError: A picture cannot be read.
    """
    category = read_category(data)
    truth = np.array([sample.label != GOOD for sample in category.test], np.bool_)
    if truth.all() or not truth.any():
        raise MisconfiguredError(
            "there are not both normal and anomalous test pictures",
            where=str(data),
            remedy="name a category's folder in MVTec's layout, with test/",
        )
    pictures, masks = [], []
    for done, sample in enumerate(category.test):
        on_phase("test pictures", done, len(category.test))
        pictures.append(resize(open_picture(sample.path), size))
        masks.append(open_mask(sample, size))
    on_phase("test pictures", len(category.test), len(category.test))
    known = np.array([place for place, mask in enumerate(masks) if mask is not None], np.intp)
    return Subject(data, category.name, np.stack(pictures), truth, known, [mask for mask in masks if mask is not None])
