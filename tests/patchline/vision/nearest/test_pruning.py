"""Cells: every row in one of them, and none outside its radius."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from patchline.vision.nearest.pruning import Cells

Draw = Callable[..., np.ndarray]


@pytest.mark.parametrize("count", [1, 2, 63, 700, 5000])
def test_every_row_is_in_one_cell_and_within_its_radius(count: int, patches: Draw) -> None:
    reduced = patches(count, 9, 0).astype(np.float64)
    cells = Cells(reduced)
    np.testing.assert_array_equal(np.sort(cells.rows), np.arange(count))
    assert cells.sizes.sum() == count
    assert (cells.sizes > 0).all()
    assert len(cells.blocks) == len(cells.radii) == cells.centres.shape[1] == len(cells.sizes)
    for cell, block in enumerate(cells.blocks):
        rows = cells.rows[cells.starts[cell] : cells.starts[cell + 1]]
        np.testing.assert_allclose(block[0], (reduced[rows] ** 2).sum(axis=1), rtol=1e-6)
        np.testing.assert_allclose(block[1:-1].T, -2 * reduced[rows], rtol=1e-6)
        np.testing.assert_array_equal(block[-1], -1)
        away = np.linalg.norm(reduced[rows] + cells.centres[1:, cell] / 2, axis=1)
        assert away.max() == pytest.approx(cells.radii[cell], abs=1e-5)


def test_a_cell_beyond_its_peak_is_as_far_as_the_slope_says(patches: Draw) -> None:
    reduced, asked = patches(3000, 9, 0).astype(np.float64), 2 * patches(40, 9, 1).astype(np.float64)
    cells = Cells(reduced)
    to_centres = cdist(asked, -cells.centres[1:].T.astype(np.float64) / 2) ** 2
    homes = to_centres.argmin(axis=1)
    beyond = to_centres - to_centres.min(axis=1, keepdims=True) - cells.peaks[homes]
    distances = cdist(asked, reduced[cells.rows])
    nearest = np.minimum.reduceat(distances, cells.starts[:-1], axis=1)
    assert (beyond <= cells.slopes[homes] * nearest + 1e-3).all()
    assert (beyond > 0.5 * cells.slopes[homes] * nearest).any()
    assert (np.diag(cells.slopes) == 0).all()
    assert (np.diag(cells.peaks) == 0).all()


def test_equal_rows_are_one_cell() -> None:
    assert len(Cells(np.ones((5000, 4))).sizes) == 1
