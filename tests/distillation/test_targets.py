from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distillation.targets import load_projections, principal_projection, save_projections


def test_all_directions_together_keep_every_distance() -> None:
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((2, 6, 5, 5)).astype(np.float32)
    vectors = maps.transpose(0, 2, 3, 1).reshape(-1, 6)
    projection = principal_projection(vectors, 6)
    targets = projection.apply(maps).transpose(0, 2, 3, 1).reshape(-1, 6) * projection.scale
    before = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    after = np.linalg.norm(targets[:, None] - targets[None], axis=-1)
    np.testing.assert_allclose(after, before, atol=1e-4)
    assert abs(projection.explained - 1) < 1e-6


@given(st.integers(0, 1000), st.integers(1, 5))
def test_targets_have_the_variance_that_their_directions_explain(seed: int, channels: int) -> None:
    vectors = np.random.default_rng(seed).standard_normal((200, 6)) * [9, 4, 2, 1, 0.5, 0.1]
    projection = principal_projection(vectors, channels)
    maps = vectors.T.reshape(1, 6, 10, 20).astype(np.float32)
    spread = projection.apply(maps)[0].reshape(channels, -1).var(axis=1, ddof=1)
    np.testing.assert_allclose(spread.sum(), projection.explained, rtol=1e-3)
    assert (np.diff(spread) <= 1e-6).all()


def test_kept_projections_come_back_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    made = {tap: principal_projection(rng.standard_normal((50, 8)), 3) for tap in ("stride8", "stride16")}
    save_projections(made, tmp_path / "p.safetensors")
    found = load_projections(tmp_path / "p.safetensors")
    for tap, projection in made.items():
        assert np.array_equal(found[tap].matrix, projection.matrix)
        assert np.array_equal(found[tap].mean, projection.mean)
        assert (found[tap].scale, found[tap].explained) == (projection.scale, projection.explained)
