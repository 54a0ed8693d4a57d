"""Drift is how far scores have risen above commissioning's, and chance alone stays below its limit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_1samp

from patchline.vision.scoring.drift import QUANTILES, critical, distance, quantiles_of


def test_the_distance_is_scipys_for_a_reference_without_repeated_values() -> None:
    rng = np.random.default_rng(1)
    quantiles, scores = quantiles_of(rng.gamma(5, size=300)), rng.gamma(6, size=120)
    shares = np.linspace(0, 1, QUANTILES)
    expected = ks_1samp(scores, lambda values: np.interp(values, quantiles, shares), alternative="less").statistic
    assert distance(scores, quantiles) == pytest.approx(expected)


@pytest.mark.parametrize("images", [20, 200])
def test_chance_stays_below_the_limit_and_a_shift_does_not(images: int) -> None:
    rng, over, shifted = np.random.default_rng(2), 0, 0
    for _ in range(300):
        quantiles = quantiles_of(rng.gamma(20, size=images))
        over += distance(rng.gamma(20, size=200), quantiles) > critical(200, images)
        shifted += distance(1.4 * rng.gamma(20, size=200), quantiles) > critical(200, images)
    assert over <= 3
    assert shifted > 240


def test_scores_that_fall_are_no_drift_for_the_final_detector_knows_more_pictures() -> None:
    rng = np.random.default_rng(4)
    quantiles = quantiles_of(rng.gamma(20, size=200))
    assert distance(0.5 * rng.gamma(20, size=200), quantiles) < 0.02


def test_a_tenth_of_defects_is_no_drift() -> None:
    rng = np.random.default_rng(3)
    scores = np.concatenate([rng.gamma(20, size=180), np.full(20, 100.0)])
    assert distance(scores, quantiles_of(rng.gamma(20, size=200))) < critical(200, 200)


def test_scores_that_were_all_one_value_may_stay_so() -> None:
    assert distance([2.0, 2.0], quantiles_of([2.0] * 30)) == 0
    assert distance([2.1, 2.1], quantiles_of([2.0] * 30)) == 1


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_a_distance_is_a_share(scores: list[float], reference: list[float]) -> None:
    assert 0 <= distance(scores, quantiles_of(reference)) <= 1


def test_the_highest_score_of_the_reference_has_all_of_it_below() -> None:
    assert distance([5.0], quantiles_of([1.0, 2.0, 3.0, 4.0, 5.0])) == 1


@pytest.mark.parametrize(("scores", "reference"), [(200, 209), (50, 10_000), (20, 20)])
def test_the_limit_is_what_smirnovs_tail_exceeds_once_in_a_thousand(scores: int, reference: int) -> None:
    pairs = scores * reference / (scores + reference)
    assert np.exp(-2 * pairs * critical(scores, reference) ** 2) == pytest.approx(0.001)
    assert critical(1, 1) == 1


def test_a_reference_is_each_twentieth_of_the_scores() -> None:
    assert quantiles_of(range(101)) == pytest.approx(range(0, 101, 5))


def test_without_scores_there_is_no_reference() -> None:
    assert quantiles_of([]) == ()
