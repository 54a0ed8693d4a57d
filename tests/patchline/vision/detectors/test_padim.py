from math import sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.covariance import OAS, ShrunkCovariance

from patchline.vision.detectors.padim import Padim
from patchline.vision.detectors.padim_gaussians import Gaussians, learn, shrunk
from patchline.vision.nearest.embedding import concatenate
from patchline.vision.pixels.arrays import FeatureMaps
from patchline.wire.errors import MisconfiguredError

Array = NDArray[Any]


def pictures(count: int, seed: int) -> FeatureMaps:
    rng, common = np.random.default_rng(seed), np.random.default_rng(5)
    mixing = common.standard_normal((7, 7))
    fine = np.einsum("cd,ndhw->nchw", mixing, rng.standard_normal((count, 7, 6, 8)))
    coarse = rng.standard_normal((count, 4, 3, 4))
    return {"fine": (fine + 5).astype(np.float32), "coarse": (coarse - 2).astype(np.float32)}


def fit(maps: FeatureMaps, **parameters: Any) -> Padim:
    return Padim.fit([maps], seed=3, **parameters)


def scores(detector: Padim, maps: FeatureMaps) -> Array:
    return detector.search(detector.embed(maps)).patch


def plain(train: Array, patches: Array, *, shrinkage: float, regularisation: float, diagonal: bool) -> Array:
    """Equations 1 and 2 place by place, in float64."""
    count, rows, columns, channels = train.shape
    distances = np.zeros(patches.shape[:3])
    for row in range(rows):
        for column in range(columns):
            mean = train[:, row, column].mean(axis=0)
            covariance = np.zeros((channels, channels))
            for vector in train[:, row, column]:
                covariance += np.outer(vector - mean, vector - mean) / (count - 1)
            if diagonal:
                covariance = np.diag(np.diag(covariance))
            sphere = np.trace(covariance) / channels * np.eye(channels)
            covariance = (1 - shrinkage) * covariance + shrinkage * sphere + regularisation * np.eye(channels)
            for picture, patch in enumerate(patches[:, row, column]):
                difference = patch - mean
                distances[picture, row, column] = sqrt(difference @ np.linalg.inv(covariance) @ difference)
    return distances


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize(("count", "shrinkage", "regularisation"), [(20, 0.0, 0.01), (4, 0.0, 0.1), (4, 0.3, 0.01)])
def test_scores_are_those_of_plain_loops(covariance: Any, count: int, shrinkage: float, regularisation: float) -> None:
    train, maps = pictures(count, 1), pictures(2, 2)
    detector = fit(train, covariance=covariance, shrinkage=shrinkage, regularisation=regularisation)
    expected = plain(
        concatenate(train).astype(np.float64),
        concatenate(maps).astype(np.float64),
        shrinkage=shrinkage,
        regularisation=regularisation,
        diagonal=covariance == "diagonal",
    )
    found = detector.search(detector.embed(maps))
    np.testing.assert_allclose(found.patch, expected, rtol=1e-4)
    np.testing.assert_allclose(found.image, expected.max(axis=(1, 2)), rtol=1e-4)


def test_the_number_of_pictures_says_how_much_is_shrunk() -> None:
    rng = np.random.default_rng(0)
    for count in (2, 5, 50):
        vectors = rng.standard_normal((count, 6)) * np.arange(1, 7)
        centred = vectors - vectors.mean(axis=0)
        empirical = centred.T @ centred / count
        oracle = OAS().fit(vectors).covariance_
        np.testing.assert_allclose(shrunk(empirical[None], count, None)[0], oracle, rtol=1e-9)
        fixed = ShrunkCovariance(shrinkage=0.4).fit(vectors).covariance_
        np.testing.assert_allclose(shrunk(empirical[None], count, 0.4)[0], fixed, rtol=1e-9)


@pytest.mark.parametrize("diagonal", [False, True])
def test_one_picture_leaves_the_regularisation_alone(diagonal: bool) -> None:
    patches = concatenate(pictures(1, 1))
    other = concatenate(pictures(1, 2))
    gaussians = learn(patches, diagonal=diagonal, shrinkage=None, regularisation=0.25)
    expected = 2 * np.linalg.norm((other - patches).astype(np.float64), axis=3)
    np.testing.assert_allclose(gaussians.distances(other), expected, rtol=1e-5)
    assert (gaussians.distances(patches) == 0).all()


def test_a_single_channel_has_no_covariances_to_tell() -> None:
    train, maps = pictures(9, 1), pictures(2, 2)
    full, diagonal = (fit(train, channels=1, covariance=kind) for kind in ("full", "diagonal"))
    np.testing.assert_allclose(scores(full, maps), scores(diagonal, maps), rtol=1e-5)


def test_many_places_are_learnt_in_blocks_with_the_same_result() -> None:
    rng = np.random.default_rng(0)
    patches = rng.standard_normal((3, 4, 5, 600)).astype(np.float32)
    reports: list[tuple[int, int]] = []
    together = learn(
        patches,
        diagonal=False,
        shrinkage=0.5,
        regularisation=0.01,
        on_progress=lambda done, total: reports.append((done, total)),
    )
    alone = learn(patches[:, 3:, 4:], diagonal=False, shrinkage=0.5, regularisation=0.01)
    assert [done for done, _ in reports] == [11, 20]
    np.testing.assert_allclose(together.whitening[3:, 4:], alone.whitening, rtol=1e-5, atol=1e-6)


def test_the_seed_chooses_the_channels() -> None:
    train = pictures(5, 1)
    first, again, other = (Padim.fit([train], seed=seed, channels=6) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.tensors()["chosen"], again.tensors()["chosen"])
    assert first.tensors()["chosen"].sum() == other.tensors()["chosen"].sum() == 6
    assert (first.tensors()["chosen"] != other.tensors()["chosen"]).any()
    assert fit(train, channels=None).tensors()["chosen"].all()


def test_only_the_chosen_channels_are_looked_at() -> None:
    train, maps = pictures(9, 1), pictures(1, 2)
    detector = fit(train, channels=6)
    chosen = detector.tensors()["chosen"].astype(bool)
    before = scores(detector, maps)
    maps["fine"][:, ~chosen[:7]] += 100
    maps["coarse"][:, ~chosen[7:]] += 100
    np.testing.assert_array_equal(scores(detector, maps), before)
    np.testing.assert_array_equal(detector.embed(maps)["patch"], concatenate(maps)[..., chosen])


def test_channels_of_one_tap_alone_still_lie_on_the_finest_grid() -> None:
    train = pictures(5, 1)
    only_coarse = next(
        detector
        for detector in (Padim.fit([train], seed=seed, channels=1) for seed in range(50))
        if detector.tensors()["chosen"][7:].any()
    )
    assert scores(only_coarse, train).shape == (5, 6, 8)


def test_taps_far_finer_than_the_coarsest_are_not_followed() -> None:
    train = pictures(3, 1) | {"finest": np.ones((3, 2, 24, 32), dtype=np.float32)}
    detector = Padim.fit([train], seed=0, channels=None)
    assert detector.tensors()["mean"].shape == (6, 8, 13)
    assert fit(train, channels=None, grid=[24, 32]).tensors()["mean"].shape == (24, 32, 13)


def test_the_diagonal_takes_the_room_of_the_means() -> None:
    full, diagonal = fit(pictures(5, 1)), fit(pictures(5, 1), covariance="diagonal")
    assert full.tensors()["whitening"].shape == (6, 8, 66)
    assert diagonal.tensors()["whitening"].shape == diagonal.tensors()["mean"].shape == (6, 8, 11)


def test_pictures_of_another_size_are_refused() -> None:
    detector, maps = fit(pictures(5, 1)), pictures(1, 2)
    with pytest.raises(MisconfiguredError, match="input size"):
        detector.embed({tap: array[:, :, :2] for tap, array in maps.items()})
    with pytest.raises(MisconfiguredError, match="7 channels"):
        detector.embed({"fine": maps["fine"]})


@pytest.mark.parametrize("name", ["chosen", "mean", "whitening"])
def test_tensors_that_do_not_fit_are_refused(name: str) -> None:
    detector = fit(pictures(5, 1))
    tensors = detector.tensors()
    missing = {key: value for key, value in tensors.items() if key != name}
    for harmed in (missing, tensors | {name: tensors[name][:-1]}):
        with pytest.raises(MisconfiguredError, match="commission"):
            Padim.restore(harmed, detector.parameters)


def test_tensors_that_are_not_numbers_are_refused() -> None:
    detector = fit(pictures(5, 1))
    tensors = detector.tensors()
    for name in ("mean", "whitening"):
        harmed = tensors[name].copy()
        harmed.flat[0] = np.nan
        with pytest.raises(MisconfiguredError, match="commission"):
            Padim.restore(tensors | {name: harmed}, detector.parameters)
        with pytest.raises(MisconfiguredError, match="commission"):
            Padim.restore(tensors | {name: tensors[name].astype(np.float64)}, detector.parameters)


def test_distances_grow_along_the_narrow_directions() -> None:
    mean = np.zeros((1, 1, 2), dtype=np.float32)
    whitening = np.array([[[1.0, 0.0, 10.0]]], dtype=np.float32)
    patches = np.array([[[[1.0, 0.0]]], [[[0.0, 1.0]]]], dtype=np.float32)
    np.testing.assert_allclose(Gaussians(mean, whitening).distances(patches).ravel(), [1.0, 10.0])
