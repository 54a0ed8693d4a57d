"""FAPM's cells: which patches of a grid lie in which cell."""

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from patchline.vision.pixels.arrays import Floats, Size


class Layout(NamedTuple):
    """Which patches of a batch of pictures lie in which cell.

    Attributes:
        members: `(cells, m)` patches of each cell, of one picture after the other; a cell with fewer repeats its first.
        slots: `(pictures, rows, columns)` where each patch stands among the flattened members.
    """

    members: NDArray[np.intp]
    slots: NDArray[np.intp]


@lru_cache(maxsize=32)
def layout_of(pictures: int, grid: Size, cells: Size, order: tuple[int, ...]) -> Layout:
    """The layout of a batch, made once for each size.

    Args:
        pictures: How many.
        grid: Rows and columns of patches of each.
        cells: Rows and columns of cells.
        order: The cells in the order that is wanted.
    """
    rows, columns = grid
    down = np.arange(rows) * cells[0] // rows
    across = np.arange(columns) * cells[1] // columns
    place = np.argsort(order)  # of each cell in the order
    cell = place[(down[:, None] * cells[1] + across).ravel()]
    by_cell = np.argsort(cell, kind="stable")
    lengths = np.bincount(cell, minlength=len(order))
    firsts = np.cumsum(lengths) - lengths
    longest = int(lengths.max())
    members = np.repeat(by_cell[np.minimum(firsts, len(cell) - 1)][:, None], longest, axis=1)
    within = np.arange(len(cell)) - np.repeat(firsts, lengths)
    members[cell[by_cell], within] = by_cell
    slots = np.empty(len(cell), dtype=np.intp)
    slots[by_cell] = cell[by_cell] * (pictures * longest) + within
    batch = np.arange(pictures)[:, None]
    everywhere = (members[:, None] + batch * len(cell)).reshape(len(order), pictures * longest)
    everyone = (slots + batch * longest).reshape(pictures, rows, columns)
    everywhere.flags.writeable = everyone.flags.writeable = False
    return Layout(everywhere, everyone)


def cells_within(grid: Size, cells: Size) -> Size:
    """The cells a grid can fill: as many as asked for, but no more than it has patches each way."""
    return min(cells[0], grid[0]), min(cells[1], grid[1])


def split(embeddings: Floats, cells: Size) -> list[Floats]:
    """The patches of many pictures by cell, `(n, C)` each.

    Args:
        embeddings: `(B, rows, columns, C)`, with at least as many rows and columns as cells.
        cells: Rows and columns of cells; where they do not divide the grid, some hold a row or column more.
    """
    down, across = _bounds(embeddings.shape[1], cells[0]), _bounds(embeddings.shape[2], cells[1])
    return [embeddings[:, rows, columns].reshape(-1, embeddings.shape[3]) for rows in down for columns in across]


def _bounds(patches: int, cells: int) -> list[slice]:
    starts = [-(-cell * patches // cells) for cell in range(cells + 1)]
    return [slice(start, end) for start, end in pairwise(starts)]
