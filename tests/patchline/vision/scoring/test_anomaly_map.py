"""Anomaly maps against scipy, and against torch where it is installed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from patchline.vision.nearest.embedding import align
from patchline.vision.scoring.anomaly_map import render


def patches(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(np.float32)


@settings(max_examples=40)
@given(
    grid=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    sigma=st.sampled_from([0.0, 0.5, 1.0, 4.0, 7.3]),
)
def test_a_map_is_enlarged_bilinearly_and_blurred_as_scipy_does(
    grid: tuple[int, int], size: tuple[int, int], sigma: float
) -> None:
    scores = patches(2, *grid)
    enlarged = align(scores[:, None], size)[:, 0].astype(np.float64)
    expected = np.stack([gaussian_filter(one, sigma) if sigma else one for one in enlarged])
    maps = render(scores, size, sigma=sigma)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, expected, atol=1e-5)


@pytest.mark.torch
def test_a_map_at_the_usual_size_is_torch_then_scipy() -> None:
    torch = pytest.importorskip("torch", reason="the torch extra is not installed")
    scores = patches(1, 28, 28)
    enlarged = torch.nn.functional.interpolate(
        torch.from_numpy(scores[:, None]), size=(224, 224), mode="bilinear", align_corners=False
    )
    expected = gaussian_filter(enlarged.numpy()[0, 0].astype(np.float64), 4)
    np.testing.assert_allclose(render(scores, (224, 224))[0], expected, atol=1e-5)


def test_units_stay_those_of_the_patches() -> None:
    np.testing.assert_allclose(render(np.full((1, 7, 9), 3.5, dtype=np.float32), (70, 90)), 3.5, rtol=1e-5)


def test_one_picture_does_not_change_the_map_of_another() -> None:
    scores = patches(3, 14, 14)
    together = render(scores, (56, 56))
    np.testing.assert_allclose(render(scores[1:2], (56, 56))[0], together[1], rtol=1e-5)
