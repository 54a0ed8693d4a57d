"""All normal patches at once, as long as memory lasts."""

from collections.abc import Callable, Iterable
from math import isqrt

import numpy as np

from vision.arrays import FeatureMaps, Floats
from wire_contract.errors import MisconfiguredError

MEGABYTE = 1_000_000


def collect(
    batches: Iterable[FeatureMaps],
    patches_of: Callable[[FeatureMaps], Floats],
    *,
    ratio: Callable[[int], float],
    projection_dimensions: int | None,
    budget_mb: float,
) -> Floats:
    """The patches of all batches, `(N, C)`, each batch freed as it is copied.

    Args:
        batches: Feature maps of normal pictures; read once.
        patches_of: Their patches, `(B, rows, columns, C)`.
        ratio: How large a share of so many patches the bank will be.
        projection_dimensions: Dimensions in which the coreset will be chosen; None for all.
        budget_mb: Megabytes that the patches, their projection, the bank and its search may take together.

    Raises:
        MisconfiguredError: There is no picture, or the budget would be passed; said at the batch that passes it.
    """
    kept: list[Floats] = []
    rows = pictures = 0
    for maps in batches:
        patches = patches_of(maps)
        pictures += len(patches)
        kept.append(patches.reshape(-1, patches.shape[-1]))
        rows += len(kept[-1])
        needed = working_bytes(rows, patches.shape[-1], projection_dimensions, ratio(rows))
        if needed > budget_mb * MEGABYTE:
            raise _too_much(needed, budget_mb, pictures, rows, patches.shape[-1])
    if not kept:
        raise MisconfiguredError("there is no normal picture to learn from", remedy="give at least one")
    vectors = np.empty((rows, kept[0].shape[1]), dtype=np.float32)
    end = rows
    while kept:  # from the last, so that each batch is freed before the pages of the next are touched
        batch = kept.pop()
        vectors[end - len(batch) : end] = batch
        end -= len(batch)
    return vectors


def working_bytes(rows: int, channels: int, projection_dimensions: int | None, ratio: float) -> int:
    """The most that a fit holds at once: patches and what the choice works with, then the bank and its search.

    While a choice is set up there are its points as projected, in the order of their cells, and less their cells'
    middles; then each chosen point's distance to every middle. The search of a bank takes thrice the bank.
    """
    dimensions = min(projection_dimensions or channels, channels)
    bank_rows = ratio * rows
    return round(4 * (rows * (channels + 4 * dimensions + 8) + bank_rows * (isqrt(rows) + 4 * channels)))


def _too_much(needed: int, budget_mb: float, pictures: int, rows: int, channels: int) -> MisconfiguredError:
    return MisconfiguredError(
        f"{rows} patches of {channels} channels, those of the first {pictures} pictures, and their bank take "
        f"{needed / MEGABYTE:.0f} MB, and the budget is {budget_mb:g} MB",
        where="parameter bank_budget_mb",
        remedy="raise it if the machine has the memory, or give fewer pictures, a coarser grid, fewer taps or a "
        "smaller coreset_ratio",
    )
