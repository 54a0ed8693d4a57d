"""A sieve keeps what is at or below zero, wherever the stretches end."""

import numpy as np
import pytest

from patchline.vision.nearest import sieve
from patchline.vision.nearest.sieve import Sieve


@pytest.mark.parametrize("keys", [5, 64, 1 << 17])
def test_the_same_keys_are_kept_however_many_are_looked_through_at_once(
    keys: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sieve, "_KEYS", keys)
    rng = np.random.default_rng(0)
    stretches = [rng.standard_normal((rng.integers(1, 6), 7)).astype(np.float32) for _ in range(40)]
    stretches[3][0, 0] = 0
    stretches[9][:] = np.nan
    tested = Sieve(longest=42)
    for stretch in stretches:
        tested.room(*stretch.shape)[:] = stretch
    places, kept = tested.kept()
    row = np.concatenate([stretch.ravel() for stretch in stretches])
    np.testing.assert_array_equal(places, np.flatnonzero(row <= 0))
    np.testing.assert_array_equal(kept, row[row <= 0])
    assert tested.count == len(kept)


def test_of_nothing_nothing_is_kept() -> None:
    places, kept = Sieve(longest=3).kept()
    assert len(places) == len(kept) == 0
