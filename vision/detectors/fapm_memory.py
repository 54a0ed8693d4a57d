"""FAPM's memory banks of one layer: one for each cell of the picture, searched together in batched products."""

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision.arrays import Floats, Size

_BLOCK_KEYS = 400_000
"""Keys made at once: 1.6 MB of them stay in a core's own cache until their largest is taken."""
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

    Candidates are ranked by `q·b - |b|² / 2` around each cell's mean; the second term is a last row of the keys, which
    meets a 1 at the end of each patch. Keys stand a vector a column, as the product reads them. A padding ranks last.

    Args:
        cells: The group's cells.
        reached: For each of them the rows of the layer's bank that it is compared with.
        bank: `(N, C)`, the layer's.
    """

    def __init__(self, cells: NDArray[np.intp], reached: list[NDArray[np.intp]], bank: Floats) -> None:
        channels, longest = bank.shape[1], max(map(len, reached))
        self.cells = cells
        self._lengths = np.array([len(rows) for rows in reached])
        self._rows = np.zeros((len(cells), longest), dtype=np.intp)
        self._centres = np.empty((len(cells), 1, channels), dtype=np.float32)
        self._keys = np.zeros((len(cells), channels + 1, longest), dtype=np.float32)
        self._keys[:, channels] = _LAST_RANK
        for place, rows in enumerate(reached):
            self._rows[place, : len(rows)] = rows
            self._centres[place] = bank[rows].mean(axis=0, dtype=np.float64)
            centred = bank[rows] - self._centres[place]
            self._keys[place, :channels, : len(rows)] = centred.T
            self._keys[place, channels, : len(rows)] = np.einsum("nc,nc->n", centred, centred, dtype=np.float64) / -2

    def nearest(self, patches: Floats) -> NDArray[np.intp]:
        """The row of the bank nearest to each of `(cells, m, C)` patches, `(cells, m)`, block by block."""
        cells, count, _ = patches.shape
        longest = self._keys.shape[2]
        step, part = max(1, _BLOCK_KEYS // (count * longest)), max(_BLOCK_PATCHES, _BLOCK_KEYS // longest)
        winners = np.empty((cells, count), dtype=np.intp)
        for cell in range(0, cells, step):
            for start in range(0, count, part):
                block = np.s_[cell : cell + step, start : start + part]
                winners[block] = self._ranked(patches[block], slice(cell, cell + step)).argmax(axis=2)
        winners += np.arange(0, cells * longest, longest)[:, None]
        return self._rows.ravel().take(winners)

    def neighbours(self, patches: Floats, places: NDArray[np.intp], bank: Floats, k: int) -> Floats:
        """Distances of `(n, C)` patches to their k nearest, nearest first, as `CellMemory` has it."""
        ranks = self._ranked(patches[:, None], places)[:, 0]
        kept = min(k, ranks.shape[1])
        best = np.argpartition(ranks, -kept, axis=1)[:, -kept:]
        distances = _lengths(bank[self._rows[places[:, None], best]] - patches[:, None])
        real = best < self._lengths[places][:, None]
        farthest = np.where(real, distances, 0).max(axis=1, keepdims=True)
        padded: Floats = np.repeat(farthest, k, axis=1)
        padded[:, :kept] = np.sort(np.where(real, distances, farthest), axis=1)
        return padded

    def _ranked(self, patches: Floats, places: slice | NDArray[np.intp]) -> Floats:
        cells, count, channels = patches.shape
        centred = np.empty((cells, count, channels + 1), dtype=np.float32)
        np.subtract(patches, self._centres[places], out=centred[..., :channels])
        centred[..., channels] = 1
        ranks: Floats = np.matmul(centred, self._keys[places])
        return ranks


def _lengths(differences: Floats) -> Floats:
    squares: Floats = np.einsum("...c,...c->...", differences, differences)
    return np.sqrt(squares)


class CellMemory:
    """The vectors kept of each cell, and the exact nearest of them to the patches of that cell.

    A winner's distance is computed anew from differences, so that a patch which is in its bank has distance 0 exactly.

    Args:
        bank: `(N, C)`, the vectors of all cells, row of cells by row of cells.
        lengths: `(cell rows, cell columns)`, how many of them each cell has, at least one.
        reach: How many cells around its own a patch is compared with, each way.
    """

    def __init__(self, bank: Floats, lengths: NDArray[np.integer], *, reach: int = 0) -> None:
        self._bank = bank
        self._cells = (lengths.shape[0], lengths.shape[1])
        rows = np.split(np.arange(len(bank)), np.cumsum(lengths)[:-1])
        reached = [np.concatenate([rows[cell] for cell in around]) for around in _around(self._cells, reach)]
        self._groups = [_Group(chosen, [reached[cell] for cell in chosen], bank) for chosen in _alike(reached)]
        self._places = np.empty((lengths.size, 2), dtype=np.intp)  # each cell's group, and its place in it
        for number, group in enumerate(self._groups):
            self._places[group.cells] = [(number, place) for place in range(len(group.cells))]

    @property
    def channels(self) -> int:
        """Channels of the vectors."""
        return int(self._bank.shape[1])

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
        winners = np.empty((cells, count, members), dtype=np.intp)
        for group in self._groups:
            chosen = (layout.members[group.cells, None] + pictures).reshape(len(group.cells), count * members)
            found = group.nearest(patches.take(chosen, axis=0))
            winners[group.cells] = found.reshape(len(group.cells), count, members)
        nearest = winners.transpose(1, 0, 2).reshape(count, cells * members).take(layout.slots, axis=1).ravel()
        differences = self._bank.take(nearest, axis=0)
        differences -= patches
        return _lengths(differences).reshape(count, rows, columns)

    def neighbours(self, vectors: Floats, patches: NDArray[np.intp], grid: Size, k: int) -> Floats:
        """Distances of patches to the k nearest vectors of their cells, nearest first.

        Args:
            vectors: `(n, C)`, one a patch.
            patches: `(n,)`, where each lies: its row times the grid's columns, plus its column.
            grid: Rows and columns of patches.
            k: How many; where a cell has fewer, its farthest stands in for those that lack.

        Returns:
            `(n, k)` float32.
        """
        layout = _layout(*grid, self._cells)
        numbers, places = self._places[layout.slots[patches] // layout.members.shape[1]].T
        distances = np.empty((len(patches), k), dtype=np.float32)
        for number in np.unique(numbers):
            chosen = np.flatnonzero(numbers == number)
            group = self._groups[number]
            distances[chosen] = group.neighbours(vectors[chosen], places[chosen], self._bank, k)
        return distances


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


def _alike(banks: list[NDArray[np.intp]]) -> list[NDArray[np.intp]]:
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
