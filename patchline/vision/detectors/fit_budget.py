"""What fitting PatchCore takes in memory, stage by stage, and whether that may be taken."""

from collections.abc import Callable
from math import isqrt
from typing import NamedTuple

MEGABYTE = 1_000_000
ROOM = 16
"""The patches' memory grows by one part in so many at a time."""

_FIXED_BYTES = 32 * MEGABYTE
_PROJECTED, _ASSIGNED, _REDUCED = 16384, 8192, 8192
"""Rows that are projected, assigned to cells, and reduced at a time."""
_PER_POINT = 8
"""Numbers kept for each point of a coreset's choice beside its coordinates."""
_SEARCH_DIMENSIONS, _BESIDE = 144, 3
"""Of each row of a bank, with some numbers beside them, a search keeps once in float64 and once in float32."""


class Budget(NamedTuple):
    """What a fit may take, and what decides how much it takes.

    Attributes:
        megabytes: For all that is held at once.
        bank_rows: How many rows the bank will have of so many patches.
        projection_dimensions: Dimensions in which the coreset will be chosen; None for all.
    """

    megabytes: float
    bank_rows: Callable[[int], int]
    projection_dimensions: int | None

    def excess_of(self, rows: int, channels: int, batch_rows: int) -> int:
        """The bytes that so many patches would need, where that is over the budget; otherwise 0."""
        dimensions = min(self.projection_dimensions or channels, channels)
        needed = working_bytes(rows, channels, dimensions, bank_rows=self.bank_rows(rows), batch_rows=batch_rows)
        return needed if needed > self.megabytes * MEGABYTE else 0


def working_bytes(rows: int, channels: int, dimensions: int, *, bank_rows: int, batch_rows: int) -> int:
    """The most that a fit holds at once, beyond the feature maps it is given: the stage that takes most.

    The patches are there until the bank is taken out of them. The choice of a coreset projects them, a block at a time;
    puts the points in the order of their cells, whose search is by blocks too; then it keeps one set of points, and the
    distances of each chosen one to every middle. The search of a bank comes last, when the patches are gone.

    Args:
        rows: Patches of all pictures, each of so many `channels`.
        channels: See `rows`.
        dimensions: In which the coreset is chosen.
        bank_rows: What it keeps.
        batch_rows: Patches of the largest batch.
    """
    cells = isqrt(rows)
    points = rows * (dimensions + _PER_POINT)
    choice = max(
        rows * dimensions + min(rows, _PROJECTED) * channels,
        points + 2 * min(rows, _ASSIGNED) * cells,
        points + rows * dimensions,
        points + bank_rows * cells,
        bank_rows * channels,
    )
    collected = rows // ROOM * channels + 3 * batch_rows * channels
    reduced = 3 * (min(channels, _SEARCH_DIMENSIONS) + _BESIDE)
    search = bank_rows * (channels + reduced) + 2 * min(bank_rows, _REDUCED) * channels
    return round(_FIXED_BYTES + 4 * max(rows * channels + max(choice, collected), search))
