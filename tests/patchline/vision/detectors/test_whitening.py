from typing import Any

import numpy as np
import pytest

from patchline.vision.detectors.whitening import FLOOR, Whitening
from patchline.wire.errors import MisconfiguredError


def embeddings(count: int, seed: int = 1) -> Any:
    """Channels that vary together, unlike each other, around a mean that each place has for itself."""
    places = 5 * np.random.default_rng(9).standard_normal((6, 5, 4))
    mixing = np.array([[1.0, 0, 0, 0], [3.0, 4, 0, 0], [0, 0, 0.1, 0], [0, 0, 0.5, 2]])
    return (np.random.default_rng(seed).standard_normal((count, 6, 5, 4)) @ mixing.T + places).astype(np.float32)


def test_what_is_left_has_no_mean_at_any_place() -> None:
    patches = embeddings(30)
    left = Whitening.learn(patches, "mean").apply(patches)
    np.testing.assert_allclose(left.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(left, patches - patches.mean(axis=0), atol=1e-5)


def test_full_whitening_makes_all_directions_alike_but_for_the_floor() -> None:
    patches = embeddings(200)
    left = (patches - patches.mean(axis=0)).reshape(-1, 4).astype(np.float64)
    covariance = left.T @ left / (199 * 30)
    floor = FLOOR * np.trace(covariance) / 4
    whitened = Whitening.learn(patches, "full").apply(patches).reshape(-1, 4).astype(np.float64)
    found = np.linalg.eigvalsh(whitened.T @ whitened / (199 * 30))
    variances = np.linalg.eigvalsh(covariance)
    np.testing.assert_allclose(np.sort(found), np.sort(variances / (variances + floor)), rtol=1e-4)


def test_diagonal_whitening_leaves_channels_where_they_are() -> None:
    patches = embeddings(200)
    whitening = Whitening.learn(patches, "diagonal")
    variances = patches.var(axis=0, ddof=1, dtype=np.float64).mean(axis=(0, 1))
    np.testing.assert_allclose(
        whitening.matrix, np.diag(1 / np.sqrt(variances + FLOOR * variances.mean())), rtol=1e-4, atol=1e-7
    )


@pytest.mark.parametrize("kind", ["mean", "diagonal", "full"])
def test_one_picture_tells_its_mean_alone(kind: Any) -> None:
    patches = embeddings(1)
    other = embeddings(1, seed=2)
    np.testing.assert_array_equal(Whitening.learn(patches, kind).apply(other), other - patches)


def test_what_was_kept_whitens_the_same() -> None:
    whitening = Whitening.learn(embeddings(30), "full")
    again = Whitening.restore(whitening.tensors(".2"), channels=4, suffix=".2")
    np.testing.assert_array_equal(again.apply(embeddings(2)), whitening.apply(embeddings(2)))


def test_other_places_and_wrong_tensors_are_refused() -> None:
    whitening = Whitening.learn(embeddings(3), "full")
    with pytest.raises(MisconfiguredError, match="6x4 places"):
        whitening.apply(embeddings(1)[:, :, :4])
    tensors = whitening.tensors()
    not_a_number = whitening.matrix.copy()
    not_a_number[0, 0] = np.nan
    for harmed in (
        {"place_mean": tensors["place_mean"]},
        {"whitener": tensors["whitener"]},
        tensors | {"whitener": not_a_number},
        tensors | {"place_mean": tensors["place_mean"].astype(np.float64)},
    ):
        with pytest.raises(MisconfiguredError, match="commission"):
            Whitening.restore(harmed, channels=4)
