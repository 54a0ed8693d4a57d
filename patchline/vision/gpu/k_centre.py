"""The greedy k-centre coreset of many sets at once, on a device; `patchline.vision.nearest.coreset` says what it is."""

# mypy: allow-untyped-calls

import numpy as np
import torch
from torch import Tensor

from patchline.vision.gpu import scores
from patchline.vision.pixels.arrays import Progress

TOLERANCE = 1e-3
"""How far float32 may lead a choice from the farthest vector, as a share of its distance, before float64 is taken."""

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

    Projection, first choice and distances are those of `nearest.coreset.greedy_k_centre`. The choice differs only for
    vectors that are equally far. No step waits for the device. The end of each choice is measured again in float64, and
    a set for which float32 is too imprecise, such as one of almost equal vectors, is chosen again in float64.

    Args:
        vectors: `(sets, n, C)` float32.
        count: How many to choose of each set, 1 to n.
        seed: Of the projection and of the first choice.
        projection_dimensions: As in `patchline.vision.nearest.coreset`.
        on_progress: Called now and then with how many are chosen.

    Returns:
        `(sets, count)` rows in the order of their choice.
    """
    total, channels = vectors.shape[1:]
    if not 1 <= count <= total:
        raise ValueError(f"cannot choose {count} of {total} vectors")
    rng = np.random.default_rng(seed)
    points = vectors - vectors.mean(dim=1, keepdim=True, dtype=torch.float64).float()
    if projection_dimensions is not None and projection_dimensions < channels:
        matrix = rng.standard_normal((channels, projection_dimensions)) / np.sqrt(projection_dimensions)
        points = points @ scores.on_device(matrix, vectors.device)
    first = int(rng.integers(total))
    rows, bounds = _choose(points, count, first, on_progress)
    astray = _astray(points, rows, bounds).nonzero()[:, 0]
    if len(astray):
        rows[astray] = _choose(points[astray].double(), count, first, None)[0]
    return rows


def _choose(points: Tensor, count: int, first: int, on_progress: Progress | None) -> tuple[Tensor, Tensor]:
    """Rows in the order of their choice, and what is left of the squared distances to the nearest of them."""
    rows = torch.zeros((len(points), count), dtype=torch.int64, device=points.device)
    norms = points.square().sum(dim=2)
    bounds = torch.full_like(norms, torch.inf)
    best = torch.full((len(points), 1), first, device=points.device)
    for at in range(count):
        rows[:, at : at + 1] = best
        _take_account_of(points, norms, bounds, best)
        best = bounds.argmax(dim=1, keepdim=True)
        if on_progress is not None and ((at + 1) % _REPORT == 0 or at + 1 == count):
            on_progress(at + 1, count)
    return rows, bounds


def _take_account_of(points: Tensor, norms: Tensor, bounds: Tensor, best: Tensor) -> None:
    """Shrink the squared distances to the chosen by those to one more of each set."""
    centre = points.gather(1, best[..., None].expand(-1, -1, points.shape[2]))
    distances = torch.baddbmm((norms + norms.gather(1, best))[..., None], points, centre.transpose(1, 2), alpha=-2)
    torch.minimum(bounds, distances[..., 0].clamp_(min=0), out=bounds)
    bounds.scatter_(1, best, _CHOSEN)


def _astray(points: Tensor, rows: Tensor, bounds: Tensor) -> Tensor:
    """For each set, whether in float64 the last choice is nearer to the others than the farthest left is to all.

    It should not be: that is what makes the greedy answer at most twice the best one. Only the last choice and the
    farthest of the rest are measured again.
    """
    if rows.shape[1] == 1:
        return torch.zeros(len(points), dtype=torch.bool, device=points.device)
    chosen = points.gather(1, rows[..., None].expand(-1, -1, points.shape[2])).double()
    separation = torch.cdist(chosen[:, -1:], chosen[:, :-1]).amin(dim=2)[:, 0]
    farthest = bounds.topk(min(_CHECKED, bounds.shape[1]), dim=1).indices
    left = points.gather(1, farthest[..., None].expand(-1, -1, points.shape[2])).double()
    radius = torch.stack([torch.cdist(left[each], chosen[each]).amin(dim=1).max() for each in range(len(points))])
    return radius > (1 + TOLERANCE) * separation
