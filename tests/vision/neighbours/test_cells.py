"""Cells: every row in one of them, and none outside its radius."""

from collections.abc import Callable

import numpy as np
import pytest

from vision.neighbours.cells import Cells

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
        np.testing.assert_allclose(block[:-1].T, -2 * reduced[rows], rtol=1e-6)
        np.testing.assert_allclose(block[-1], (reduced[rows] ** 2).sum(axis=1), rtol=1e-6)
        away = np.linalg.norm(reduced[rows] + cells.centres[:-1, cell] / 2, axis=1)
        assert away.max() == pytest.approx(cells.radii[cell], abs=1e-5)


def test_equal_rows_are_one_cell() -> None:
    assert len(Cells(np.ones((5000, 4))).sizes) == 1
