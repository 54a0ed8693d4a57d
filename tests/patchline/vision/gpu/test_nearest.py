"""Nearest neighbours on a device, against every distance in float64."""

import numpy as np
import pytest

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from patchline.vision.gpu import nearest  # noqa: E402 - needs torch
from patchline.vision.gpu.nearest import Banks  # noqa: E402 - needs torch


def banks_of(vectors: np.ndarray, precision: str = "float32") -> Banks:
    """Two banks: all of the vectors, and the first five of them."""
    rows = torch.arange(len(vectors)).repeat(2, 1)
    rows[1, 5:] = 4
    bank = torch.from_numpy(vectors)
    return Banks(bank, rows, torch.tensor([len(vectors), 5]), precision=precision)  # type: ignore[arg-type]


def all_distances(vectors: np.ndarray, bank: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors[:, None].astype(np.float64) - bank[None], axis=2)


def drawn(count: int, seed: int, *, away: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((count, 17)) + away).astype(np.float32)


@pytest.mark.parametrize("keys", [1 << 21, 500])
@pytest.mark.parametrize("away", [0.0, 300.0])
def test_float32_finds_the_nearest_of_each_bank(keys: int, away: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(nearest._KEYS, "cpu", keys)
    bank, queries = drawn(90, 0, away=away), drawn(40, 1, away=away)
    distances, rows = banks_of(bank).nearest(torch.from_numpy(queries).repeat(2, 1, 1))
    for group, length in enumerate((90, 5)):
        wanted = all_distances(queries, bank[:length])
        np.testing.assert_array_equal(rows[group].numpy(), wanted.argmin(axis=1))
        np.testing.assert_allclose(distances[group].numpy(), wanted.min(axis=1), rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_half_precision_finds_one_that_is_as_near_but_for_a_thousandth(scale: float) -> None:
    bank, queries = scale * drawn(400, 0), scale * drawn(60, 1)
    distances, _ = banks_of(bank, "float16").nearest(torch.from_numpy(queries).repeat(2, 1, 1))
    for group, length in enumerate((400, 5)):
        wanted = all_distances(queries, bank[:length]).min(axis=1)
        np.testing.assert_allclose(distances[group].numpy(), wanted, rtol=1e-3)


def test_a_vector_far_outside_has_a_finite_distance_in_half_precision() -> None:
    bank, queries = drawn(50, 0), 30 * drawn(10, 1)
    distances, _ = banks_of(bank, "float16").nearest(torch.from_numpy(queries).repeat(2, 1, 1))
    np.testing.assert_allclose(distances[0].numpy(), all_distances(queries, bank).min(axis=1), rtol=1e-3)


def test_a_bank_of_equal_vectors_is_searched() -> None:
    distances, _ = banks_of(np.ones((6, 17), dtype=np.float32), "float16").nearest(torch.ones(2, 3, 17))
    assert distances.tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("groups", [1, 2])
def test_few_vectors_get_their_nearest_in_order_and_none_that_is_not_there(groups: int) -> None:
    bank, queries = drawn(60, 0), drawn(4, 1)
    banks = banks_of(bank)
    if groups == 1:
        banks = Banks(banks.bank, banks.rows[:1], torch.tensor([60]), precision="float32")
    asked = torch.tensor([0, groups - 1, 0, groups - 1])
    rows, real = banks.around(torch.from_numpy(queries), asked, 7)
    for at, group in enumerate(asked.tolist()):
        length = 60 if group == 0 else 5
        wanted = all_distances(queries[at : at + 1], bank[:length])[0].argsort()[:7]
        assert rows[at][real[at]].tolist() == wanted.tolist()
        assert int(real[at].sum()) == min(7, length)
