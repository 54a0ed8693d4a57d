"""Options are changed only where drawn defects say so for certain."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from patchline.artifacts.choices import Choice
from patchline.commissioning.trials.comparison import (
    FIT_MARGIN,
    INPUT_MARGIN,
    PIXEL_MARGIN,
    best_of,
    compare,
    input_margin,
)
from patchline.commissioning.trials.options import options_to_try
from patchline.commissioning.trials.planted import Scores, TwoFolds, score_modes
from patchline.vision.detectors import DETECTORS
from patchline.vision.scoring.evaluation import image_auroc

PICTURES, PLANTED = 60, 120
SOURCES = np.arange(PLANTED) % PICTURES


class Outcome(NamedTuple):
    parameters: Mapping[str, object]
    normal: NDArray[np.float64]
    planted: NDArray[np.float64]
    pixels: float | None = None

    @property
    def scores(self) -> Scores:
        return Scores(self.normal, self.planted)


def decide(outcomes: list[Outcome], *, seed: int) -> Choice:
    asked, *others = outcomes
    tried = []
    for other in others:
        found = compare(asked.scores, other.scores, other.parameters, SOURCES, seed=seed)
        if other.pixels is not None:
            found = msgspec.structs.replace(found, pixels=other.pixels, margin=input_margin(other.pixels))
        tried.append(found)
    return best_of(tried, asked.scores)


def outcome(shift: float, seed: int = 0, **parameters: object) -> Outcome:
    """Scores whose planted pictures lie so many deviations above the normal ones."""
    rng = np.random.default_rng(seed)
    return Outcome(parameters, rng.normal(size=PICTURES), shift + rng.normal(size=PLANTED))


def test_a_clear_gain_is_taken_with_its_reason() -> None:
    tuning = decide([outcome(0.5), outcome(0.6, score="peak"), outcome(2.5, 1, score="top")], seed=0)
    assert tuning.chosen == {"score": "top"}
    assert tuning.reason.startswith("score=top gains +0.")
    assert "120 defects planted into 60 pictures" in tuning.reason
    assert [tried.parameters["score"] for tried in tuning.tried] == ["top", "peak"]
    assert tuning.tried[0].interval[0] < tuning.tried[0].gain < tuning.tried[0].interval[1]


@pytest.mark.parametrize("seed", range(5))
def test_noise_changes_nothing(seed: int) -> None:
    tuning = decide([outcome(1.0), outcome(1.0, 10 + seed, score="peak")], seed=seed)
    assert tuning.chosen == {} or tuning.tried[0].interval[0] > 0
    same = decide([outcome(1.0), outcome(1.0, score="peak")], seed=seed)
    assert same.chosen == {}
    assert same.reason.startswith("nothing is better for certain")


def test_another_fit_must_gain_far_more_than_another_score() -> None:
    base = outcome(1.0)
    better = Outcome({}, base.normal, base.planted + 0.1)
    for parameters, chosen in (({"score": "top"}, True), ({"whitening": "mean"}, False)):
        tuning = decide([base, Outcome(parameters, better.normal, better.planted)], seed=0)
        assert bool(tuning.chosen) is chosen, tuning.tried[0].description
        assert tuning.tried[0].gain < FIT_MARGIN + 0.02


def sized(pixels: float, planted_shift: float) -> Outcome:
    base = outcome(1.0)
    return Outcome({"input_size": f"{pixels:g}"}, base.normal, base.planted + planted_shift, pixels)


def test_a_larger_input_must_gain_more_the_more_pixels_it_has() -> None:
    margins = [input_margin(pixels) for pixels in (0.9, 1, 2, 3)]
    assert margins == pytest.approx(
        [INPUT_MARGIN, INPUT_MARGIN, INPUT_MARGIN + PIXEL_MARGIN, INPUT_MARGIN + 2 * PIXEL_MARGIN]
    )
    asked, gain = outcome(1.0), 0.2
    for pixels, chosen in ((1, True), (8, False)):
        tuning = decide([asked, sized(pixels, gain)], seed=0)
        assert bool(tuning.chosen) is chosen, tuning.tried[0].description


def test_of_two_inputs_that_find_as_much_the_cheaper_is_taken() -> None:
    tuning = decide([outcome(1.0), sized(2, 1.0), sized(1.3, 1.0)], seed=0)
    assert tuning.chosen == {"input_size": "1.3"}
    assert "for 1.30 times the pixels" in tuning.reason


def test_another_fit_is_taken_before_another_score_only_where_it_finds_that_much_more() -> None:
    base = outcome(0.5)
    score = Outcome({"score": "top"}, base.normal, base.planted + 1.0)
    for shift, chosen in ((1.05, {"score": "top"}), (1.6, {"whitening": "mean"})):
        fit = Outcome({"whitening": "mean"}, base.normal, base.planted + shift)
        tuning = decide([base, fit, score], seed=0)
        assert {found.convinces for found in tuning.tried} == {True}
        assert tuning.chosen == chosen


def test_the_best_of_several_convincing_ones_is_taken() -> None:
    tuning = decide([outcome(0.3), outcome(1.5, 1, score="peak"), outcome(2.5, 2, covariance="diagonal")], seed=0)
    assert tuning.chosen == {"covariance": "diagonal"}


@given(st.integers(0, 100), st.floats(-2, 2))
def test_the_gain_is_the_difference_of_two_image_aurocs(seed: int, shift: float) -> None:
    first, second = outcome(0.5, seed), outcome(shift, seed + 1, score="top")
    (tried,) = decide([first, second], seed=seed).tried
    truth = [False] * PICTURES + [True] * PLANTED
    aurocs = [image_auroc(truth, [*each.normal, *each.planted]) for each in (first, second)]
    assert tried.gain == pytest.approx(aurocs[1] - aurocs[0])  # type: ignore[operator]
    assert tried.interval[0] <= tried.interval[1]


@pytest.mark.parametrize("detector", DETECTORS)
def test_every_option_tried_is_one_of_the_detector_s(detector: str) -> None:
    rng = np.random.default_rng(0)
    maps = {"tap": rng.normal(size=(4, 8, 4, 4)).astype(np.float32)}
    for options in DETECTORS[detector].tuning_options:
        for score in DETECTORS[detector].score_modes:
            fitted = DETECTORS[detector].fit([maps], seed=0, **options, score=score)
            assert fitted.parameters.items() >= options.items()
    assert DETECTORS[detector].fit([maps], seed=0).parameters["score"] == DETECTORS[detector].score_modes[0]


def test_what_a_person_has_set_is_not_tried() -> None:
    def folds(detector: str, **parameters: object) -> TwoFolds:
        return TwoFolds(DETECTORS[detector], parameters, 0)

    assert options_to_try(folds("padim")) == [{}, {"covariance": "diagonal"}]
    assert options_to_try(folds("padim", covariance="full")) == [{}]
    assert options_to_try(folds("patchcore")) == [{}]
    assert score_modes(folds("fapm", score="top")) == ("top",)
    assert score_modes(folds("padim")) == ("max", "top", "contrast")
