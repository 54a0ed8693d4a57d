"""What every search promises, and how much the approximate ones may lose on vectors like real patches."""

import sys
from collections.abc import Callable

import numpy as np
import pytest

from patchline.vision.nearest import SEARCHES
from patchline.vision.nearest.exact import ExactSearch
from patchline.vision.nearest.loss import search_loss
from patchline.wire.errors import MisconfiguredError

Draw = Callable[..., np.ndarray]

every_search = pytest.mark.parametrize("name", SEARCHES)
OF_FAISS = ("ivf", "hnsw", "pq")


@every_search
def test_distances_are_those_of_the_rows_found(name: str, patches: Draw) -> None:
    stored, asked = patches(3000, 48, 0), patches(200, 48, 1)
    distances, rows = SEARCHES[name](stored).nearest(asked)
    assert distances.dtype == np.float32
    assert distances.shape == rows.shape == (200,)
    np.testing.assert_allclose(distances, np.linalg.norm(asked - stored[rows], axis=1), rtol=1e-5)


@every_search
def test_many_of_the_nearest_are_found(name: str, patches: Draw) -> None:
    stored, asked = patches(3000, 48, 0), patches(500, 48, 1)
    loss = search_loss(SEARCHES[name](stored), ExactSearch(stored), asked)
    assert loss["search_recall"] >= (1.0 if name == "exact" else 0.3)
    assert 0 <= loss["search_mean_error"] <= loss["search_largest_error"] < 1.0
    assert loss["search_mean_error"] < 0.05


@every_search
@pytest.mark.parametrize(("count", "channels"), [(1, 3), (7, 5), (40, 13)])
def test_small_banks_of_any_width_can_be_searched(name: str, count: int, channels: int, noise: Draw) -> None:
    stored = noise(count, channels, 0)
    distances, rows = SEARCHES[name](stored).nearest(stored)
    np.testing.assert_array_equal(distances, 0.0)
    np.testing.assert_array_equal(rows, np.arange(count))


@every_search
def test_the_same_bank_makes_the_same_search(name: str, patches: Draw) -> None:
    stored, asked = patches(2000, 24, 0), patches(300, 24, 1)
    first, second = SEARCHES[name](stored).nearest(asked), SEARCHES[name](stored.copy()).nearest(asked)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


@pytest.mark.parametrize("name", OF_FAISS)
def test_without_faiss_the_extra_is_named(name: str, monkeypatch: pytest.MonkeyPatch, noise: Draw) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MisconfiguredError, match=r"patchline\[analytics\]"):
        SEARCHES[name](noise(10, 4, 0))


def test_a_loss_is_the_share_missed_and_how_far_off_it_was() -> None:
    stored = np.array([[0.0], [1.0], [4.0]], dtype=np.float32)

    class AlwaysTheFirst:
        def __init__(self, bank: np.ndarray) -> None:
            self.bank = bank

        def nearest(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return np.abs(vectors[:, 0] - self.bank[0, 0]), np.zeros(len(vectors), dtype=np.intp)

    asked = np.array([[0.25], [0.75], [0.1], [-1.0]], dtype=np.float32)
    loss = search_loss(AlwaysTheFirst(stored), ExactSearch(stored), asked)
    assert loss == {
        "search_recall": 0.75,
        "search_mean_error": pytest.approx(0.5),
        "search_largest_error": pytest.approx(2.0),
    }
    assert search_loss(AlwaysTheFirst(stored), ExactSearch(stored), asked[:0]) == {}
