"""Connected regions of a mask."""

import numpy as np
from numpy.typing import NDArray


def label_regions(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Number the regions of touching pixels, corners included (8 neighbours).

    Horizontal runs of pixels are joined to the runs of the row above that they touch; a mask has few runs.

    Args:
        mask: `(H, W)`.

    Returns:
        `(H, W)` numbers, 0 outside and 1 to the count of regions inside, in reading order; and that count.
    """
    rows, starts, ends = _runs(mask)
    parents = list(range(len(rows)))
    above: list[int] = []
    here: list[int] = []
    row = -1
    for run in range(len(rows)):
        if rows[run] != row:
            above = here if rows[run] == row + 1 else []
            here, row = [], int(rows[run])
        for other in above:
            if starts[other] <= ends[run] and starts[run] <= ends[other]:
                _join(parents, run, other)
        here.append(run)
    labels = np.zeros(mask.shape, dtype=np.int32)
    numbers: dict[int, int] = {}
    for run in range(len(rows)):
        number = numbers.setdefault(_root(parents, run), len(numbers) + 1)
        labels[rows[run], starts[run] : ends[run]] = number
    return labels, len(numbers)


def _runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Row, start and end (exclusive) of each run; runs that touch by a corner have `start == end` of the other."""
    height, width = mask.shape
    padded = np.zeros((height, width + 2), dtype=np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    return rows, starts, ends


def _root(parents: list[int], run: int) -> int:
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


def _join(parents: list[int], first: int, second: int) -> None:
    one, other = _root(parents, first), _root(parents, second)
    parents[max(one, other)] = min(one, other)
