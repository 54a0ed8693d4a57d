"""What is learnt on a device is what numpy learns."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from patchline.vision.detectors.fapm import Fapm
from patchline.vision.detectors.patchcore import PatchCore
from patchline.vision.nearest.coreset import greedy_k_centre as in_numpy
from patchline.wire.errors import MisconfiguredError

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from patchline.vision.gpu.fitting import fit_fapm, fit_patchcore  # noqa: E402 - needs torch
from patchline.vision.gpu.k_centre import greedy_k_centre  # noqa: E402 - needs torch

Draw = Callable[..., Any]


def in_torch(maps: Any) -> Any:
    return [{tap: torch.from_numpy(array) for tap, array in maps.items()}]


@pytest.mark.parametrize("dimensions", [None, 4])
def test_the_choice_is_that_of_numpy_in_every_set(dimensions: int | None) -> None:
    sets = np.random.default_rng(0).standard_normal((3, 80, 9)).astype(np.float32)
    found = greedy_k_centre(torch.from_numpy(sets), 20, seed=4, projection_dimensions=dimensions)
    for vectors, rows in zip(sets, found, strict=True):
        wanted = in_numpy(vectors, 20, seed=4, projection_dimensions=dimensions)
        assert rows.tolist() == wanted.tolist()


def test_all_can_be_chosen_and_progress_ends_with_all() -> None:
    told = []
    vectors = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 300, 3)).astype(np.float32))
    rows = greedy_k_centre(vectors, 300, seed=0, on_progress=lambda done, total: told.append((done, total)))
    assert sorted(rows[0].tolist()) == list(range(300))
    assert told[-1] == (300, 300)
    with pytest.raises(ValueError, match="cannot choose 301 of 300"):
        greedy_k_centre(vectors, 301, seed=0)


def test_a_set_that_float32_is_too_rough_for_is_chosen_in_float64() -> None:
    vectors = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)
    vectors[0] = 1e6  # beside it the others' distances drown in float32's norms
    rows = greedy_k_centre(torch.from_numpy(vectors)[None], 30, seed=0)[0].tolist()
    exact = vectors.astype(np.float64)
    for at in range(1, 30):
        distances = np.linalg.norm(exact[:, None] - exact[rows[:at]], axis=2).min(axis=1)
        assert distances[rows[at]] == pytest.approx(distances.max(), rel=1e-2)


def test_more_can_be_chosen_than_differ() -> None:
    vectors = torch.ones((1, 50, 3))
    vectors[0, 7] = 2
    assert 7 in greedy_k_centre(vectors, 10, seed=0)[0].tolist()[:2]


def test_patchcore_learns_the_bank_that_numpy_learns(draw_maps: Draw) -> None:
    maps = draw_maps(6, seed=0)
    wanted = PatchCore.fit([maps], seed=2, coreset_ratio=0.1)
    fitted = fit_patchcore(in_torch(maps), seed=2, coreset_ratio=0.1)
    np.testing.assert_allclose(fitted.tensors["bank"], wanted.tensors()["bank"], atol=1e-5)
    restored = PatchCore.restore(fitted.tensors, fitted.parameters)
    assert restored.parameters == wanted.parameters


@pytest.mark.parametrize("cells", [None, (5, 3)])
def test_fapm_learns_the_memories_that_numpy_learns(cells: tuple[int, int] | None, draw_maps: Draw) -> None:
    maps = {tap: array / 3 for tap, array in draw_maps(10, seed=0).items()}
    wanted = Fapm.fit([maps], seed=2, cells=cells, grid=(12, 8), adaptive_threshold=0.4)
    assert any(0 < share < 1 for share in wanted.share_doubled)
    fitted = fit_fapm(in_torch(maps), seed=2, cells=cells, grid=(12, 8), threshold=0.4)
    assert fitted.tensors.keys() == wanted.tensors().keys()
    for name, tensor in wanted.tensors().items():
        assert fitted.tensors[name].dtype == tensor.dtype, name
        np.testing.assert_allclose(fitted.tensors[name], tensor, atol=1e-5, err_msg=name)
    assert Fapm.restore(fitted.tensors, fitted.parameters).parameters == wanted.parameters


@pytest.mark.parametrize("fit", [fit_patchcore, fit_fapm])
def test_without_pictures_nothing_is_learnt(fit: Callable[..., Any]) -> None:
    with pytest.raises(MisconfiguredError, match="no normal picture"):
        fit([], seed=0)
