"""The greedy k-centre coreset of many sets at once, on a device; `vision.coreset` says what it is."""

# mypy: allow-untyped-calls

import numpy as np
import torch
from torch import Tensor

from vision.arrays import Progress
from vision.torch_detectors import scores
from wire_contract.errors import MisconfiguredError

TOLERANCE = 1e-3
"""How far float32 may lead a choice from the farthest vector, as a share of its distance, before it is refused."""

_CHOSEN = -1.0
_CHECKED = 512
_REPORT = 256


def greedy_k_centre(
    vectors: Tensor,
    count: int,
    *,
    seed: int,
    projection_dimensions: int | None = 64,
    on_progress: Progress | None = None,
) -> Tensor:
    """Choose vectors one after the other, each the farthest from all chosen before, in every set at once.

    Projection, first choice and distances are those of `vision.coreset.greedy_k_centre`, so the choice is the same but
    for vectors that are equally far. No step waits for the device. The end of the choice is measured again in float64.

    Args:
        vectors: `(sets, n, C)` float32.
        count: How many to choose of each set, 1 to n.
        seed: Of the projection and of the first choice.
        projection_dimensions: As in `vision.coreset`.
        on_progress: Called now and then with how many are chosen.

    Returns:
        `(sets, count)` rows in the order of their choice.

    Raises:
        MisconfiguredError: Rounding led the choice astray: the vectors lie too far from zero for their distances.
    """
    sets, total, channels = vectors.shape
    if not 1 <= count <= total:
        raise ValueError(f"cannot choose {count} of {total} vectors")
    rng = np.random.default_rng(seed)
    points = vectors - vectors.mean(dim=1, keepdim=True, dtype=torch.float64).float()
    if projection_dimensions is not None and projection_dimensions < channels:
        matrix = rng.standard_normal((channels, projection_dimensions)) / np.sqrt(projection_dimensions)
        points = points @ scores.on_device(matrix, vectors.device)
    rows = torch.zeros((sets, count), dtype=torch.int64, device=vectors.device)
    norms = points.square().sum(dim=2)
    bounds = torch.full_like(norms, torch.inf)
    best = torch.full((sets, 1), int(rng.integers(total)), device=vectors.device)
    for at in range(count):
        rows[:, at : at + 1] = best
        _take_account_of(points, norms, bounds, best)
        best = bounds.argmax(dim=1, keepdim=True)
        if on_progress is not None and (at + 1) % _REPORT == 0:
            on_progress(at + 1, count)
    _check(points, rows, bounds)
    if on_progress is not None:
        on_progress(count, count)
    return rows


def _take_account_of(points: Tensor, norms: Tensor, bounds: Tensor, best: Tensor) -> None:
    """Shrink the squared distances to the chosen by those to one more of each set."""
    centre = points.gather(1, best[..., None].expand(-1, -1, points.shape[2]))
    distances = torch.baddbmm((norms + norms.gather(1, best))[..., None], points, centre.transpose(1, 2), alpha=-2)
    torch.minimum(bounds, distances[..., 0].clamp_(min=0), out=bounds)
    bounds.scatter_(1, best, _CHOSEN)


def _check(points: Tensor, rows: Tensor, bounds: Tensor) -> None:
    """In float64: the last choice is as far from the others as the farthest of those that were left is from all.

    That is what makes the greedy answer at most twice the best one. Only the last choices and the farthest of the rest
    are measured again.
    """
    sets, count = rows.shape
    if count == 1:
        return
    chosen = points.gather(1, rows[..., None].expand(-1, -1, points.shape[2])).double()
    separation = torch.cdist(chosen[:, -1:], chosen[:, :-1]).amin(dim=2)
    farthest = bounds.topk(min(_CHECKED, bounds.shape[1]), dim=1).indices
    left = points.gather(1, farthest[..., None].expand(-1, -1, points.shape[2])).double()
    radius = torch.stack([torch.cdist(left[each], chosen[each]).amin(dim=1).max() for each in range(sets)])
    if bool((radius > (1 + TOLERANCE) * separation[:, 0]).any()):
        raise MisconfiguredError(
            "float32 is too rough to tell these vectors apart",
            where="coreset",
            remedy="normalise the features, or choose the coreset on the cpu",
        )
