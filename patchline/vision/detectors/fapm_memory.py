"""FAPM's memory banks of one layer: one for each cell of the picture, searched together in batched products.

For one picture the search is bound by memory as much as by arithmetic, so the banks are searched in blocks that fit
into a processor's cache. A batch of pictures reads each block once.
"""

import numpy as np
from numpy.typing import NDArray

from patchline.vision.detectors.fapm_cells import layout_of
from patchline.vision.pixels.arrays import Floats, Size

_BLOCK_NUMBERS = 200_000
"""Numbers of a block's keys and of its ranks: 0.8 MB of them stay in a core's own cache while it is searched."""
_BLOCK_PATCHES = 256
"""Patches of a cell searched at once at least, so that a long bank is not read again for every few of them."""
_ALIGNED_NUMBERS = 8
"""Banks are padded to a multiple of so many, since the largest of aligned ranks is found a quarter faster."""
_PADDING = 1.5
"""Banks are padded to one length as long as the longest is at most this many times the shortest."""
_LAST_RANK = np.float32(-1e30)
"""Where a padding ranks: behind every vector. It is finite, since matrix products make NaN of zero times infinity."""


class CellMemory:
    """The vectors kept of each cell, and the exact nearest of them to the patches of that cell.

    Candidates are ranked by `q·b - |b|² / 2` around each cell's mean; the second term is a last row of the keys, which
    meets a 1 at the end of each patch. Keys stand a vector a column, as the product reads them. A winner's distance is
    computed anew from differences, so that a patch which is in its bank has distance 0 exactly. Ranks are float32: of
    vectors almost equally near one may win whose squared distance is larger by some 1e-7 of the patch's own to the
    cell's mean.

    Args:
        bank: `(N, C)`, the vectors of all cells, row of cells by row of cells.
        lengths: `(cell rows, cell columns)`, how many of them each cell has, at least one.
    """

    def __init__(self, bank: Floats, lengths: NDArray[np.integer]) -> None:
        self._cells = (lengths.shape[0], lengths.shape[1])
        rows = np.split(np.arange(len(bank)), np.cumsum(lengths)[:-1])
        groups = _alike(rows)
        self._order = tuple(int(cell) for cells in groups for cell in cells)
        in_order = [rows[cell] for cell in self._order]
        self._bank = bank[np.concatenate(in_order)]
        self._lengths = np.array([len(each) for each in in_order])
        self._firsts = (np.cumsum(self._lengths) - self._lengths)[:, None]
        self._centres = np.stack([bank[each].mean(axis=0, dtype=np.float64) for each in in_order]).astype(np.float32)
        self._keys: list[Floats] = []
        for cells in groups:
            first = sum(map(len, self._keys))
            centres = self._centres[first : first + len(cells)]
            self._keys.append(_keys(bank, [rows[cell] for cell in cells], centres))

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
        layout = layout_of(count, (rows, columns), self._cells, self._order)
        patches = embeddings.reshape(-1, channels).take(layout.members, axis=0)
        centred = np.empty((*layout.members.shape, channels + 1), dtype=np.float32)
        np.subtract(patches, self._centres[:, None], out=centred[..., :channels])
        centred[..., channels] = 1
        winners = np.empty(layout.members.shape, dtype=np.intp)
        first = 0
        for keys in self._keys:
            cells = slice(first, first + len(keys))
            _rank(centred[cells], keys, winners[cells])
            first += len(keys)
        winners += self._firsts
        patches -= self._bank.take(winners, axis=0)
        return _lengths(patches).take(layout.slots)

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
        layout = layout_of(1, grid, self._cells, self._order)
        places = layout.slots.take(patches) // layout.members.shape[1]
        nearest = np.empty((len(vectors), k), dtype=np.float32)
        for number, place in enumerate(places.tolist()):
            first, length = int(self._firsts[place, 0]), int(self._lengths[place])
            distances = _lengths(self._bank[first : first + length] - vectors[number])
            kept = min(k, length)
            distances.partition(kept - 1)
            nearest[number, :kept] = distances[:kept]
            nearest[number, kept:] = distances[kept - 1]
        nearest.sort(axis=1)
        return nearest


def _rank(centred: Floats, keys: Floats, winners: NDArray[np.intp]) -> None:
    """Write which key ranks first for each patch, block by block.

    Args:
        centred: `(cells, m, C + 1)`.
        keys: `(cells, C + 1, longest)`.
        winners: `(cells, m)`.
    """
    count, (cells, channels, longest) = centred.shape[1], keys.shape
    part = max(_BLOCK_PATCHES, _BLOCK_NUMBERS // longest)
    step = max(1, _BLOCK_NUMBERS // (longest * (channels + min(part, count))))
    for cell in range(0, cells, step):
        near = keys[cell : cell + step]
        for start in range(0, count, part):
            block = np.s_[cell : cell + step, start : start + part]
            np.matmul(centred[block], near).argmax(axis=2, out=winners[block])


def _keys(bank: Floats, banks: list[NDArray[np.intp]], centres: Floats) -> Floats:
    """The keys of cells with banks of about the same length, padded to the same, `(cells, C + 1, longest)`."""
    channels = bank.shape[1]
    longest = -(-max(map(len, banks)) // _ALIGNED_NUMBERS) * _ALIGNED_NUMBERS
    keys = np.zeros((len(banks), channels + 1, longest), dtype=np.float32)
    keys[:, channels] = _LAST_RANK
    for place, rows in enumerate(banks):
        centred = bank[rows] - centres[place]
        keys[place, :channels, : len(rows)] = centred.T
        keys[place, channels, : len(rows)] = np.einsum("nc,nc->n", centred, centred, dtype=np.float64) / -2
    return keys


def _lengths(differences: Floats) -> Floats:
    squares: Floats = np.einsum("...c,...c->...", differences, differences)
    return np.sqrt(squares)


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
