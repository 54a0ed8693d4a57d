"""PatchCore against its paper's equations, written out plainly in float64."""

from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import softmax

from patchline.vision.detectors import patchcore
from patchline.vision.detectors.patchcore import PatchCore
from patchline.vision.nearest.embedding import average_pool_3x3
from patchline.vision.pixels.arrays import FeatureMaps
from patchline.wire.errors import MisconfiguredError


def maps_of(seed: int, pictures: int = 6) -> FeatureMaps:
    rng = np.random.default_rng(seed)
    return {"tap": rng.standard_normal((pictures, 9, 8, 8)).astype(np.float32)}


def test_scores_are_those_of_equations_6_and_7() -> None:
    detector = PatchCore.fit([maps_of(1)], seed=0, coreset_ratio=0.3, neighbours=5)
    found = detector.search(detector.embed(maps_of(2, pictures=2)))
    bank = detector.tensors()["bank"].astype(np.float64)
    for index, pooled in enumerate(average_pool_3x3(maps_of(2, pictures=2)["tap"])):
        distances = cdist(pooled.reshape(9, -1).T, bank)
        np.testing.assert_allclose(found.patch[index].ravel(), distances.min(axis=1), rtol=1e-5)
        patch = distances.min(axis=1).argmax()
        nearest = distances[patch].argmin()
        around = np.argsort(cdist(bank[nearest : nearest + 1], bank)[0])[:5]
        weight = 1 - softmax(distances[patch, around])[0]
        np.testing.assert_allclose(found.image[index], weight * distances[patch, nearest], rtol=1e-4)


def test_without_neighbours_a_picture_scores_its_largest_patch_distance() -> None:
    detector = PatchCore.fit([maps_of(1)], seed=0, neighbours=0)
    found = detector.search(detector.embed(maps_of(2)))
    np.testing.assert_array_equal(found.image, found.patch.max(axis=(1, 2)))


def test_large_distances_do_not_overflow_the_re_weighting() -> None:
    detector = PatchCore.fit([maps_of(1)], seed=0)
    far = {"tap": maps_of(2)["tap"] + np.float32(1e6)}
    found = detector.search(detector.embed(far))
    assert np.isfinite(found.image).all()
    assert (found.image > 0).all()


def test_one_neighbour_is_refused_because_it_makes_every_score_zero() -> None:
    with pytest.raises(MisconfiguredError, match="one neighbour"):
        PatchCore.fit([maps_of(1)], seed=0, neighbours=1)


def test_the_bank_keeps_the_share_asked_for() -> None:
    for ratio, rows in ((0.01, 4), (0.1, 39), (1.0, 384)):
        assert len(PatchCore.fit([maps_of(1)], seed=0, coreset_ratio=ratio).tensors()["bank"]) == rows


def test_the_default_bank_is_a_tenth_up_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(PatchCore.fit([maps_of(1)], seed=0).tensors()["bank"]) == 39
    monkeypatch.setattr(patchcore, "BANK_LIMIT", 20)
    assert len(PatchCore.fit([maps_of(1)], seed=0).tensors()["bank"]) == 20
    assert len(PatchCore.fit([maps_of(1)], seed=0, coreset_ratio=0.1).tensors()["bank"]) == 39


@pytest.mark.parametrize(
    ("sizes", "grid"),
    [([8], 8), ([28, 14], 28), ([56, 28, 14], 28), ([14, 56], 14), ([15, 8], 15), ([9, 4], 4)],
)
def test_the_default_grid_is_no_more_than_twice_as_fine_as_the_coarsest_tap(sizes: list[int], grid: int) -> None:
    rng = np.random.default_rng(0)
    maps = {str(side): rng.standard_normal((2, 3, side, side + 1)).astype(np.float32) for side in sizes}
    detector = PatchCore.fit([maps], seed=0)
    assert detector.search(detector.embed(maps)).patch.shape == (2, grid, grid + 1)
    detector = PatchCore.fit([maps], seed=0, grid=(5, 6))
    assert detector.search(detector.embed(maps)).patch.shape == (2, 5, 6)


def test_a_bank_of_another_kind_is_refused() -> None:
    detector = PatchCore.fit([maps_of(1)], seed=0)
    bank = detector.tensors()["bank"]
    for wrong in (bank.astype(np.float64), bank.astype(np.float16), bank[0], bank[:0], np.full_like(bank, np.nan)):
        with pytest.raises(MisconfiguredError, match="memory bank"):
            PatchCore.restore({"bank": wrong}, detector.parameters)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("coreset_ratio", 0.0), ("coreset_ratio", 1.5), ("grid", (0, 3)), ("sigma", -1)],
)
def test_a_parameter_out_of_range_is_refused_by_name(parameter: str, value: Any) -> None:
    with pytest.raises(MisconfiguredError, match=parameter):
        PatchCore.fit([maps_of(1)], seed=0, **{parameter: value})


def test_parameters_may_come_as_text_from_a_command_line() -> None:
    assert PatchCore.fit([maps_of(1)], seed=0, coreset_ratio="0.5").parameters["coreset_ratio"] == 0.5
