"""Thresholds and their bounds, against scipy's beta distribution and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, gumbel_r

from vision.calibration import MAXIMUM_BOUND, allowed_above, calibrate, false_reject_bound

finite = st.floats(-1e6, 1e6, allow_nan=False)


@given(images=st.integers(1, 3000), data=st.data(), confidence=st.floats(0.5, 0.999))
def test_the_bound_is_that_of_clopper_and_pearson(images: int, data: st.DataObject, confidence: float) -> None:
    rejected = data.draw(st.integers(0, min(images - 1, 60)))
    expected = beta.ppf(confidence, rejected + 1, images - rejected)
    assert false_reject_bound(rejected, images, confidence) == pytest.approx(expected, rel=1e-6)


def test_none_of_209_bounds_the_rate_at_1_4_percent() -> None:
    assert round(100 * false_reject_bound(0, 209), 1) == 1.4
    assert false_reject_bound(3, 3) == false_reject_bound(0, 0) == 1.0


def test_a_target_of_one_percent_needs_299_pictures() -> None:
    assert allowed_above(298, 0.01) == -1
    assert allowed_above(299, 0.01) == 0
    assert allowed_above(1000, 0.01) == 4


@given(scores=st.lists(finite, min_size=299, max_size=400))
def test_many_pictures_put_the_threshold_on_a_score_whose_bound_keeps_the_target(scores: list[float]) -> None:
    found = calibrate(scores, target_false_reject_rate=0.01)
    assert found.threshold in scores
    assert sum(score > found.threshold for score in scores) <= allowed_above(len(scores), 0.01)
    assert found.bound <= 0.01


@given(scores=st.lists(finite, min_size=9, max_size=120))
def test_few_pictures_put_the_threshold_where_none_exceeds_it_and_say_what_that_is_worth(scores: list[float]) -> None:
    found = calibrate(scores, target_false_reject_rate=0.01)
    assert found.threshold is not None
    assert found.threshold >= max(scores)
    assert found.bound == pytest.approx(1 - 0.05 ** (1 / len(scores)))
    assert found.images == len(scores)


@given(scores=st.lists(finite, max_size=8))
def test_too_few_pictures_give_no_threshold(scores: list[float]) -> None:
    found = calibrate(scores)
    assert found.threshold is None
    assert found.bound > MAXIMUM_BOUND


@given(scores=st.lists(st.floats(0.001, 1e3), min_size=9, max_size=60), factor=st.sampled_from([0.25, 2.0, 64.0]))
def test_the_threshold_scales_with_the_scores(scores: list[float], factor: float) -> None:
    plain, scaled = calibrate(scores).threshold, calibrate([factor * score for score in scores]).threshold
    assert plain is not None
    assert scaled == pytest.approx(factor * plain, rel=1e-9)


def test_order_does_not_matter() -> None:
    scores = np.random.default_rng(0).random(50)
    assert calibrate(scores) == calibrate(scores[::-1])


@pytest.mark.parametrize(
    "wider", [{"target_false_reject_rate": 0.2}, {"confidence": 0.5}], ids=["target", "confidence"]
)
def test_every_parameter_has_an_effect(wider: dict[str, float]) -> None:
    scores = np.random.default_rng(0).random(60)
    assert calibrate(scores, **wider) != calibrate(scores)
    assert calibrate(scores, **wider).bound != calibrate(scores).bound


@pytest.mark.parametrize("images", [20, 60, 209, 600])
def test_gumbel_scores_are_rejected_about_as_seldom_as_asked_for(images: int) -> None:
    rng = np.random.default_rng(0)
    rates = [
        gumbel_r.sf(calibrate(gumbel_r.rvs(size=images, loc=5, random_state=rng)).threshold, loc=5) for _ in range(300)
    ]
    assert np.mean(rates) < 0.02
    assert np.median(rates) < 0.01


@pytest.mark.parametrize("images", [30, 209, 600])
def test_the_bound_holds_as_often_as_it_says(images: int) -> None:
    rng = np.random.default_rng(1)
    held = []
    for _ in range(400):
        found = calibrate(rng.exponential(size=images) ** 2)
        held.append(np.exp(-np.sqrt(found.threshold or 0.0)) <= found.bound)
    assert np.mean(held) >= 0.93


def test_a_score_that_is_no_number_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="finite"):
        calibrate([1.0, float("nan")])
