import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from patchline.vision.detectors.fapm_cells import cells_within, layout_of

lengths = st.integers(1, 6)


@given(pictures=st.integers(0, 3), grid=st.tuples(lengths, lengths), cells=st.tuples(lengths, lengths), seed=lengths)
def test_every_patch_of_a_batch_stands_in_its_cell_once(
    pictures: int, grid: tuple[int, int], cells: tuple[int, int], seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(cells[0] * cells[1])
    layout = layout_of(pictures, grid, cells, tuple(order.tolist()))
    patches = np.arange(pictures * grid[0] * grid[1]).reshape(pictures, *grid)
    assert layout.slots.shape == patches.shape
    np.testing.assert_array_equal(layout.members.ravel()[layout.slots], patches)
    for _, row, column in np.argwhere(patches >= 0):
        cell = row * cells[0] // grid[0] * cells[1] + column * cells[1] // grid[1]
        places = layout.slots[:, row, column] // layout.members.shape[1]
        assert (order[places] == cell).all()


def test_a_grid_has_no_more_cells_than_patches() -> None:
    assert cells_within((14, 3), (7, 7)) == (7, 3)
