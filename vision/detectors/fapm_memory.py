"""FAPM's memory banks of one layer: one for each cell of the picture, searched together in batched products."""

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision.arrays import Floats, Size

_BLOCK_KEYS = 200_000
"""Keys made at once: 0.8 MB of them stay in a core's own cache until their minimum is taken."""
_BLOCK_PATCHES = 256
"""Patches of a cell searched at once at least, so that a long bank is not read again for every few of them."""
_PADDING = 1.5
"""Banks are padded to one length as long as the longest is at most this many times the shortest."""
_LAST_RANK = np.float32(-1e30)
"""Where a padding ranks: behind every vector. It is finite, since matrix products make NaN of zero times infinity."""


class _Layout(NamedTuple):
    """Which patches of a grid lie in which cell.

    Attributes:
        members: `(cells, m)` patches of each cell; a cell with fewer than m repeats its first.
        slots: `(patches,)` where each patch stands among the flattened members.
    """

    members: NDArray[np.intp]
    slots: NDArray[np.intp]


class _Group:
    """Cells with banks of about the same length, padded to the same and searched in one batched product.

    Candidates are ranked by `q·b - |b|² / 2` around each cell's mean; the second term is a last column of the bank,
    which meets a 1 at the end of each patch. A padding ranks last and never wins. The winner's distance is computed
    anew from differences, so that a patch which is in its bank has distance 0 exactly.
    """

    def __init__(self, cells: NDArray[np.intp], banks: list[Floats]) -> None:
        channels, longest = banks[0].shape[1], max(map(len, banks))
        self.cells = cells
        self._lengths = [len(bank) for bank in banks]
        self._centres = np.empty((len(banks), 1, channels), dtype=np.float32)
        self._bank = np.zeros((len(banks), longest, channels + 1), dtype=np.float32)
        self._bank[..., channels] = _LAST_RANK
        for place, bank in enumerate(banks):
            self._centres[place] = bank.mean(axis=0, dtype=np.float64)
            centred = bank - self._centres[place]
            self._bank[place, : len(bank), :channels] = centred
            self._bank[place, : len(bank), channels] = np.einsum("nc,nc->n", centred, centred, dtype=np.float64) / -2

    def nearest(self, queries: Floats) -> Floats:
        """Distances `(cells, m)` of patches `(cells, m, C)`, block by block."""
        cells, count, _ = queries.shape
        longest = self._bank.shape[1]
        step, part = max(1, _BLOCK_KEYS // (count * longest)), max(_BLOCK_PATCHES, _BLOCK_KEYS // longest)
        distances = np.empty((cells, count), dtype=np.float32)
        for cell in range(0, cells, step):
            for start in range(0, count, part):
                block = np.s_[cell : cell + step, start : start + part]
                distances[block] = self._nearest(queries[block], slice(cell, cell + step))
        return distances

    def neighbours(self, vector: Floats, place: int, k: int) -> Floats:
        """Distances of one patch to its k nearest, nearest first."""
        centred = vector - self._centres[place, 0]
        bank = self._bank[place, : self._lengths[place]]
        keys = bank @ np.append(centred, np.float32(1))
        k = min(k, len(bank))
        return np.sort(_lengths(bank[np.argpartition(keys, len(bank) - k)[-k:], :-1] - centred))

    def _nearest(self, queries: Floats, rows: slice) -> Floats:
        cells, count, channels = queries.shape
        bank = self._bank[rows]
        centred = np.empty((cells, count, channels + 1), dtype=np.float32)
        np.subtract(queries, self._centres[rows], out=centred[..., :channels])
        centred[..., channels] = 1
        winners = np.matmul(centred, bank.transpose(0, 2, 1)).argmax(axis=2)
        differences = bank[np.arange(cells)[:, None], winners]
        differences -= centred
        return _lengths(differences[..., :channels])


def _lengths(differences: Floats) -> Floats:
    squares: Floats = np.einsum("...c,...c->...", differences, differences)
    return np.sqrt(squares)


class CellMemory:
    """The vectors kept of each cell, and the exact nearest of them to the patches of that cell.

    Args:
        banks: Vectors of each cell, `(n, C)` each and at least one, row of cells by row of cells.
        cells: Rows and columns of cells.
        reach: How many cells around its own a patch is compared with, each way.
    """

    def __init__(self, banks: list[Floats], cells: Size, *, reach: int = 0) -> None:
        self._cells = cells
        self.channels = int(banks[0].shape[1])
        reached = [np.concatenate([banks[cell] for cell in around]) for around in _around(cells, reach)]
        self._groups = [_Group(chosen, [reached[cell] for cell in chosen]) for chosen in _alike(reached)]
        self._places = {int(cell): (group, at) for group in self._groups for at, cell in enumerate(group.cells)}

    def nearest(self, embeddings: Floats) -> Floats:
        """Each patch's Euclidean distance to the nearest vector of its cell.

        Args:
            embeddings: `(B, rows, columns, C)`, any grid.

        Returns:
            `(B, rows, columns)` float32.
        """
        count, rows, columns, channels = embeddings.shape
        layout = _layout(rows, columns, self._cells)
        cells, members = layout.members.shape
        patches = embeddings.reshape(count * rows * columns, channels)
        pictures = np.arange(count)[:, None] * (rows * columns)
        distances = np.empty((cells, count * members), dtype=np.float32)
        for group in self._groups:
            chosen = layout.members[group.cells, None] + pictures
            queries = patches.take(chosen.reshape(len(group.cells), count * members), axis=0)
            distances[group.cells] = group.nearest(queries)
        by_picture = distances.reshape(cells, count, members).transpose(1, 0, 2).reshape(count, cells * members)
        return by_picture.take(layout.slots, axis=1).reshape(count, rows, columns)

    def neighbours(self, vector: Floats, patch: tuple[int, int], grid: Size, k: int) -> Floats:
        """Distances of one patch to the k nearest vectors of its cell, nearest first.

        Args:
            vector: `(C,)`, the patch.
            patch: Its row and column.
            grid: Rows and columns of patches.
            k: How many; a cell with fewer gives all it has.
        """
        row, column = (at * cells // length for at, cells, length in zip(patch, self._cells, grid, strict=True))
        group, place = self._places[row * self._cells[1] + column]
        return group.neighbours(vector, place, k)


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


def _around(cells: Size, reach: int) -> list[list[int]]:
    return [
        [
            other_row * cells[1] + other_column
            for other_row in range(max(0, row - reach), min(cells[0], row + reach + 1))
            for other_column in range(max(0, column - reach), min(cells[1], column + reach + 1))
        ]
        for row in range(cells[0])
        for column in range(cells[1])
    ]


def _alike(banks: list[Floats]) -> list[NDArray[np.intp]]:
    """Cells by the length of their banks, so that little is padded; sampling leaves two lengths, or near them."""
    lengths = np.array([len(bank) for bank in banks])
    order = np.argsort(lengths, kind="stable")
    groups: list[NDArray[np.intp]] = []
    while len(order):
        alike = lengths[order] <= _PADDING * lengths[order[0]]
        groups.append(np.sort(order[alike]))
        order = order[~alike]
    return groups


@lru_cache(maxsize=64)
def _layout(rows: int, columns: int, cells: Size) -> _Layout:
    down = np.arange(rows) * cells[0] // rows
    across = np.arange(columns) * cells[1] // columns
    cell = (down[:, None] * cells[1] + across).ravel()
    order = np.argsort(cell, kind="stable")
    lengths = np.bincount(cell, minlength=cells[0] * cells[1])
    firsts = np.cumsum(lengths) - lengths
    members = np.zeros((len(lengths), lengths.max()), dtype=np.intp)
    members[:] = order[np.minimum(firsts, len(order) - 1)][:, None]
    places = np.arange(len(order)) - np.repeat(firsts, lengths)
    members[cell[order], places] = order
    slots = np.empty(len(order), dtype=np.intp)
    slots[order] = cell[order] * members.shape[1] + places
    members.flags.writeable = slots.flags.writeable = False
    return _Layout(members, slots)
