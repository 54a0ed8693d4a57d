"""All normal patches of a fit, in one array that stays within a memory budget."""

from collections.abc import Callable, Iterable

import numpy as np

from patchline.vision.detectors.fit_budget import MEGABYTE, ROOM, Budget
from patchline.vision.detectors.fitted import no_picture
from patchline.vision.pixels.arrays import FeatureMaps, Floats
from patchline.wire.errors import MisconfiguredError


def collect(batches: Iterable[FeatureMaps], patches_of: Callable[[FeatureMaps], Floats], budget: Budget) -> Floats:
    """The patches of all batches, `(N, C)`.

    Args:
        batches: Feature maps of normal pictures; read once.
        patches_of: Their patches, `(B, rows, columns, C)`.
        budget: What they and the rest of the fit may take.

    Raises:
        MisconfiguredError: There is no picture, or the budget would be passed; raised at the batch that passes it.
    """
    vectors: Floats = np.empty((0, 0), dtype=np.float32)
    rows = pictures = 0
    for maps in batches:
        patches = patches_of(maps)
        fresh = patches.reshape(-1, patches.shape[-1])
        pictures, end = pictures + len(patches), rows + len(fresh)
        if needed := budget.excess_of(end, fresh.shape[1], len(fresh)):
            raise _too_much(needed, budget, (pictures, end, fresh.shape[1]))
        if end > len(vectors):
            # numpy remaps large blocks instead of copying them; no other reference to this array exists.
            vectors.resize((end + end // ROOM, fresh.shape[1]), refcheck=False)
        vectors[rows:end] = fresh
        rows = end
    if not rows:
        raise no_picture()
    vectors.resize((rows, vectors.shape[1]), refcheck=False)
    return vectors


def _too_much(needed: int, budget: Budget, seen: tuple[int, int, int]) -> MisconfiguredError:
    pictures, rows, channels = seen
    return MisconfiguredError(
        f"{rows} patches of {channels} channels, those of the first {pictures} pictures, and their bank take "
        f"{needed / MEGABYTE:.0f} MB, and the budget is {budget.megabytes:g} MB",
        where="parameter bank_budget_mb",
        remedy="raise it if the machine has the memory, or give fewer pictures, a coarser grid, fewer taps or a "
        "smaller coreset_ratio",
    )
