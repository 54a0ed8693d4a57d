"""Which patches of a picture lie in which cell; `patchline.vision.detectors.fapm_memory` says what cells are."""

# mypy: allow-untyped-calls

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from patchline.vision.pixels.arrays import Size


class Layout(NamedTuple):
    """A grid of patches in cells, for a batch.

    Attributes:
        cell_of: `(patches,)`, the cell of each patch.
        members: `(cells, B * m)`, patches of the batch by cell; a cell with fewer than m repeats its first.
        slots: `(B * patches,)`, where each patch of the batch stands among the flattened members.
    """

    cell_of: Tensor
    members: Tensor
    slots: Tensor


@cache  # never forgotten: a recorded CUDA graph goes on reading it
def layout_of(batch: int, grid: Size, cells: Size, device: torch.device) -> Layout:
    """The layout of a batch of pictures, made once for each size."""
    cell, members, slots = _layout(grid, cells)
    pictures = np.arange(batch)
    patches, longest = grid[0] * grid[1], members.shape[1]
    everywhere = (members[:, None] + pictures[:, None] * patches).reshape(len(members), batch * longest)
    own_cell, place = slots // longest, slots % longest
    everyone = own_cell * (batch * longest) + pictures[:, None] * longest + place
    return Layout(*(torch.from_numpy(each).to(device) for each in (cell, everywhere, everyone.ravel())))


def cells_within(grid: Size, cells: Size) -> Size:
    """The cells a grid can fill: as many as asked for, but no more than it has patches each way."""
    return min(cells[0], grid[0]), min(cells[1], grid[1])


def rows_of_cells(lengths: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each cell the rows of the layer's bank that it holds, padded to one length, and how many are real.

    Args:
        lengths: `(cell rows, cell columns)`, how many vectors each cell has; the bank has them cell by cell.
    """
    counts = lengths.ravel().astype(np.int64)
    firsts = np.cumsum(counts) - counts
    padded = firsts[:, None] + np.minimum(np.arange(counts.max()), counts[:, None] - 1)
    return padded, counts


def _layout(grid: Size, cells: Size) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The cell of each patch, the patches of each cell, and where each patch stands among them, of one picture."""
    down, across = (np.arange(length) * parts // length for length, parts in zip(grid, cells, strict=True))
    cell = (down[:, None] * cells[1] + across).ravel()
    order = np.argsort(cell, kind="stable")
    lengths = np.bincount(cell, minlength=cells[0] * cells[1])
    firsts = np.cumsum(lengths) - lengths
    members = np.repeat(order[np.minimum(firsts, len(order) - 1)][:, None], lengths.max(), axis=1)
    places = np.arange(len(order)) - np.repeat(firsts, lengths)
    members[cell[order], places] = order
    slots = np.empty(len(order), dtype=np.int64)
    slots[order] = cell[order] * members.shape[1] + places
    return cell, members, slots
