"""All normal patches at once, as long as memory lasts; or as many of them as it lasts for."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from patchline.vision.detectors.fit_budget import MEGABYTE, ROOM, Budget
from patchline.vision.pixels.arrays import FeatureMaps, Floats
from patchline.wire.errors import MisconfiguredError

_THINNER = 0.9
_THINNEST = 0.001
_BLOCK = 16384


class _Heap:
    """Patches in one block of memory that grows in place, each with the number drawn for it."""

    def __init__(self, channels: int) -> None:
        self.rows = 0
        self.vectors: Floats = np.empty((0, channels), dtype=np.float32)
        self._draws: Floats = np.empty(0, dtype=np.float32)

    def add(self, vectors: Floats, draws: Floats) -> None:
        end = self.rows + len(vectors)
        if end > len(self._draws):
            self._resize(end + end // ROOM)
        self.vectors[self.rows : end], self._draws[self.rows : end] = vectors, draws
        self.rows = end

    def thin(self, share: float) -> None:
        """Drop the patches whose number is at or above a share; by blocks, in place."""
        kept = 0
        for start in range(0, self.rows, _BLOCK):
            block = slice(start, min(start + _BLOCK, self.rows))
            low: NDArray[np.bool_] = self._draws[block] < share
            end = kept + int(low.sum())
            self.vectors[kept:end], self._draws[kept:end] = self.vectors[block][low], self._draws[block][low]
            kept = end
        self.rows = kept

    def take(self) -> Floats:
        """The patches, and no more memory than theirs."""
        self._resize(self.rows)
        return self.vectors

    def _resize(self, rows: int) -> None:
        # numpy has large blocks remapped, not copied; nobody else holds them
        self.vectors.resize((rows, self.vectors.shape[1]), refcheck=False)
        self._draws.resize(rows, refcheck=False)


def collect(
    batches: Iterable[FeatureMaps],
    patches_of: Callable[[FeatureMaps], Floats],
    budget: Budget,
    *,
    thin: bool = False,
    seed: int = 0,
) -> tuple[Floats, float]:
    """The patches of all batches, `(N, C)`, and what share they are of those seen.

    Args:
        batches: Feature maps of normal pictures; read once.
        patches_of: Their patches, `(B, rows, columns, C)`.
        budget: What they and the rest of the fit may take.
        thin: Keep fewer where all would be too many. A number is drawn for each patch, and those below the share are
            kept; the share falls as pictures come, so that patches of the first and the last have the same chance.
        seed: Of those numbers.

    Raises:
        MisconfiguredError: There is no picture, or the budget would be passed; said at the batch that passes it.
    """
    rng = np.random.default_rng(seed)
    heap: _Heap | None = None
    share, pictures, seen = 1.0, 0, 0
    for maps in batches:
        patches = patches_of(maps)
        fresh = patches.reshape(-1, patches.shape[-1])
        heap = heap or _Heap(fresh.shape[1])
        pictures, seen = pictures + len(patches), seen + len(fresh)
        draws = rng.random(len(fresh), dtype=np.float32)
        while needed := budget.excess_of(heap.rows + int((draws < share).sum()), fresh.shape[1], len(fresh)):
            if not thin or share < _THINNEST:
                raise _too_much(needed, budget, (pictures, seen, fresh.shape[1]))
            share *= _THINNER
            heap.thin(share)
        kept = draws < share
        heap.add(fresh if kept.all() else fresh[kept], draws[kept])
    if heap is None or not heap.rows:
        raise MisconfiguredError("there is no normal picture to learn from", remedy="give at least one")
    return heap.take(), share


def _too_much(needed: int, budget: Budget, seen: tuple[int, int, int]) -> MisconfiguredError:
    pictures, rows, channels = seen
    return MisconfiguredError(
        f"{rows} patches of {channels} channels, those of the first {pictures} pictures, and their bank take "
        f"{needed / MEGABYTE:.0f} MB, and the budget is {budget.megabytes:g} MB",
        where="parameter bank_budget_mb",
        remedy="raise it if the machine has the memory, keep a random share of the patches with thin=true, or give "
        "fewer pictures, a coarser grid, fewer taps or a smaller coreset_ratio",
    )
