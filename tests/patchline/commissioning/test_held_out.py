"""Held-out scores: true refits, every picture once, by a detector that never saw it."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from patchline.commissioning.held_out import folds_of, score_held_out
from patchline.vision.detectors.protocol import Embedded, Parameter, PatchScores, Rendering
from patchline.vision.pixels.arrays import FeatureMaps, Size


class Witness:
    """A detector that remembers which pictures it was fitted on, and scores those it knows 0 and others 1."""

    name: ClassVar[str] = "witness"
    tuning_options: ClassVar[tuple[dict[str, Any], ...]] = ()
    score_modes: ClassVar[tuple[str, ...]] = ()
    examples: ClassVar[dict[str, Any]] = {}
    seen_by_fits: ClassVar[list[set[float]]] = []

    def __init__(self, known: set[float]) -> None:
        self._known = known

    @classmethod
    def fit(cls, batches: Iterable[FeatureMaps], *, seed: int, on_progress: Any = None, **parameters: Any) -> Self:
        assert (seed, on_progress, parameters) == (5, None, {"sharpness": 2})
        known = {float(number) for batch in batches for number in batch["tap"][:, 0, 0, 0]}
        cls.seen_by_fits.append(known)
        return cls(known)

    @property
    def parameters(self) -> dict[str, Parameter]:
        return {}

    def embed(self, maps: FeatureMaps) -> Embedded:
        return {"numbers": maps["tap"][:, 0, :1, :1, None]}

    def search(self, embedded: Embedded) -> PatchScores:
        numbers = embedded["numbers"][:, :, :, 0]
        unknown = np.array([float(number[0, 0]) not in self._known for number in numbers], np.float32)
        return PatchScores(numbers, unknown)

    def render(self, patch_scores: PatchScores, size: Size) -> Rendering:
        return Rendering(np.broadcast_to(patch_scores.patch, (len(patch_scores.patch), *size)), patch_scores.image)

    def tensors(self) -> dict[str, NDArray[Any]]:
        return {}

    def facts(self) -> dict[str, float]:
        return {}

    @classmethod
    def restore(cls, tensors: Mapping[str, NDArray[Any]], parameters: Mapping[str, Any]) -> Self:
        raise NotImplementedError


def numbered(count: int) -> FeatureMaps:
    return {"tap": np.arange(count, dtype=np.float32)[:, None, None, None] + np.zeros((1, 2, 3, 3), np.float32)}


@pytest.mark.parametrize(("pictures", "fits"), [(40, 4), (8, 4), (7, 7), (2, 2)])
def test_every_picture_is_scored_by_a_detector_that_never_saw_it(pictures: int, fits: int) -> None:
    Witness.seen_by_fits.clear()
    progress: list[tuple[int, int]] = []
    held_out = score_held_out(
        Witness,
        numbered(pictures),
        size=(4, 4),
        folds=4,
        seed=5,
        parameters={"sharpness": 2},
        on_progress=lambda done, total: progress.append((done, total)),
    )
    np.testing.assert_array_equal(held_out.scores, np.ones(pictures))
    assert len(Witness.seen_by_fits) == fits
    assert progress == [(done, fits) for done in range(fits + 1)]


def test_the_map_range_leaves_headroom_above_the_farthest_normal_patch() -> None:
    held_out = score_held_out(
        Witness, numbered(40), size=(4, 4), folds=4, seed=5, parameters={"sharpness": 2}, on_progress=lambda *_: None
    )
    low, high = held_out.map_range
    assert low < 5
    assert high == pytest.approx(low + 2 * (39 - low))


def test_one_picture_has_a_map_range_and_no_score() -> None:
    Witness.seen_by_fits.clear()
    held_out = score_held_out(
        Witness, numbered(1), size=(4, 4), folds=4, seed=5, parameters={"sharpness": 2}, on_progress=lambda *_: None
    )
    assert held_out.scores.shape == (0,)
    assert held_out.map_range == (0.0, 1.0)
    assert Witness.seen_by_fits == [{0.0}]


def test_identical_pictures_still_have_a_map_range() -> None:
    maps = {"tap": np.zeros((6, 2, 3, 3), np.float32)}
    held_out = score_held_out(
        Witness, maps, size=(4, 4), folds=3, seed=5, parameters={"sharpness": 2}, on_progress=lambda *_: None
    )
    assert held_out.map_range == (0.0, 1.0)


@given(st.integers(2, 300), st.integers(2, 12), st.integers(0, 5))
def test_folds_split_the_pictures_evenly_and_completely(pictures: int, folds: int, seed: int) -> None:
    split = folds_of(pictures, folds, seed=seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(split)), np.arange(pictures))
    sizes = [len(fold) for fold in split]
    assert max(sizes) - min(sizes) <= 1
    assert len(split) == (folds if pictures >= 2 * folds else pictures)
