"""Measures against scikit-learn, scipy and plain references."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label
from sklearn.metrics import f1_score, roc_auc_score, roc_curve

from patchline.vision.scoring.bootstrap import bootstrap_interval
from patchline.vision.scoring.evaluation import aupro, image_auroc, pixel_auroc, pixel_f1
from patchline.vision.scoring.regions import label_regions

seeds = st.integers(0, 10_000)
EIGHT = np.ones((3, 3))


def labels_and_scores(seed: int, count: int = 40, levels: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    anomalous = np.arange(count) < rng.integers(1, count)
    return anomalous, (rng.integers(0, levels, count) + 3 * anomalous).astype(np.float32)


def masks_and_maps(seed: int, pictures: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    masks = np.zeros((pictures, 24, 20), dtype=bool)
    for picture in range(1, pictures):
        for _ in range(rng.integers(1, 4)):
            row, column = rng.integers(0, 18), rng.integers(0, 14)
            masks[picture, row : row + rng.integers(1, 6), column : column + rng.integers(1, 6)] = True
    maps = np.round(rng.random(masks.shape) + 0.7 * masks, 1).astype(np.float32)
    return masks, maps


@given(seed=seeds)
def test_image_auroc_is_scikit_learns_ties_included(seed: int) -> None:
    anomalous, scores = labels_and_scores(seed)
    assert image_auroc(anomalous, scores) == pytest.approx(roc_auc_score(anomalous, scores))


@settings(max_examples=30)
@given(seed=seeds)
def test_pixel_auroc_is_scikit_learns(seed: int) -> None:
    masks, maps = masks_and_maps(seed)
    assert pixel_auroc(masks, maps) == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()))
    assert pixel_auroc(list(masks), list(maps)) == pixel_auroc(masks, maps)


@settings(max_examples=20)
@given(seed=seeds)
def test_pixel_f1_is_the_best_over_all_thresholds(seed: int) -> None:
    masks, maps = masks_and_maps(seed)
    best = max(f1_score(masks.ravel(), maps.ravel() >= threshold) for threshold in np.unique(maps))
    assert pixel_f1(masks, maps) == pytest.approx(best)


def plain_aupro(masks: np.ndarray, maps: np.ndarray, limit: float) -> float:
    rates, overlaps = [0.0], [0.0]
    regions = [label(mask, EIGHT) for mask in masks]
    for threshold in np.unique(maps)[::-1]:
        found = maps >= threshold
        rates.append(found[~masks].mean())
        shares = [
            found[index][numbers == number].mean()
            for index, (numbers, count) in enumerate(regions)
            for number in range(1, count + 1)
        ]
        overlaps.append(np.mean(shares))
    grid = np.unique(np.concatenate([[limit], [rate for rate in rates if rate <= limit]]))
    last = dict(zip(rates, overlaps, strict=True))
    first = dict(reversed(list(zip(rates, overlaps, strict=True))))
    area = 0.0
    for left, right in pairwise(grid):
        start = last[left]
        end = first[right] if right in first else np.interp(right, rates, overlaps)
        area += (right - left) * (start + end) / 2
    return area / limit


@settings(max_examples=30)
@given(seed=seeds, limit=st.sampled_from([0.05, 0.3, 1.0]))
def test_aupro_is_the_mean_overlap_of_regions_up_to_the_false_positive_rate(seed: int, limit: float) -> None:
    masks, maps = masks_and_maps(seed)
    assert aupro(masks, maps, maximum_false_positive_rate=limit) == pytest.approx(plain_aupro(masks, maps, limit))


def test_aupro_of_one_region_in_one_picture_is_the_partial_area_under_its_roc_curve() -> None:
    mask, scores = np.zeros((1, 30, 30), dtype=bool), np.random.default_rng(0).random((1, 30, 30)).astype(np.float32)
    mask[0, 3:9, 4:12] = True
    scores[mask] += 0.5
    false_positive_rate, true_positive_rate, _ = roc_curve(mask.ravel(), scores.ravel(), drop_intermediate=False)
    grid = np.linspace(0, 0.3, 200_001)
    area = np.trapezoid(np.interp(grid, false_positive_rate, true_positive_rate), grid) / 0.3
    assert aupro(mask, scores) == pytest.approx(area, abs=1e-4)


def test_perfect_maps_measure_one() -> None:
    masks, _ = masks_and_maps(0)
    maps = masks.astype(np.float32)
    assert pixel_auroc(masks, maps) == pixel_f1(masks, maps) == 1.0
    assert aupro(masks, maps) == pytest.approx(1.0)


def test_where_there_is_nothing_to_tell_apart_a_measure_is_none() -> None:
    blank, maps = np.zeros((2, 5, 5), dtype=bool), np.ones((2, 5, 5), dtype=np.float32)
    assert image_auroc([False, False], [1, 2]) is None
    assert image_auroc([], []) is None
    assert pixel_auroc(blank, maps) is None
    assert pixel_f1(blank, maps) is None
    assert aupro(blank, maps) is None
    assert aupro(~blank, maps) is None
    assert pixel_f1([], []) is None
    assert bootstrap_interval([True, True], [1, 2], [2, 1], seed=0) is None


@given(seed=seeds, share=st.floats(0.02, 0.98))
def test_regions_are_scipys_with_eight_neighbours(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 30, size=2)) < share
    numbers, count = label_regions(mask)
    expected, expected_count = label(mask, EIGHT)
    assert count == expected_count
    assert len(set(zip(numbers.ravel().tolist(), expected.ravel().tolist(), strict=True))) == len(np.unique(numbers))
    np.testing.assert_array_equal(numbers > 0, mask)


def test_the_interval_of_a_difference_holds_the_difference_and_narrows_with_pictures() -> None:
    widths = []
    for count in (60, 600):
        rng = np.random.default_rng(0)
        anomalous = np.arange(count) % 2 == 0
        first, second = rng.standard_normal((2, count)) + anomalous * [[1.5], [1.0]]
        low, high = bootstrap_interval(anomalous, first, second, seed=0) or (0.0, 0.0)
        difference = (image_auroc(anomalous, first) or 0) - (image_auroc(anomalous, second) or 0)
        assert low < difference < high
        widths.append(high - low)
    assert widths[1] < widths[0]


def test_the_bootstrap_resamples_as_a_plain_one_does() -> None:
    rng = np.random.default_rng(0)
    anomalous = np.arange(80) < 30
    first, second = rng.standard_normal((2, 80)) + anomalous * [[1.2], [0.8]]
    bad, good = np.flatnonzero(anomalous), np.flatnonzero(~anomalous)
    differences = []
    for _ in range(600):
        rows = np.concatenate([rng.choice(bad, len(bad)), rng.choice(good, len(good))])
        differences.append(roc_auc_score(anomalous[rows], first[rows]) - roc_auc_score(anomalous[rows], second[rows]))
    found = bootstrap_interval(anomalous, first, second, seed=1, resamples=4000) or (0.0, 0.0)
    np.testing.assert_allclose(found, np.quantile(differences, [0.025, 0.975]), atol=0.02)


def test_a_score_does_not_differ_from_itself_and_a_wider_confidence_is_wider() -> None:
    rng = np.random.default_rng(0)
    anomalous, (first, second) = np.arange(50) < 20, rng.standard_normal((2, 50))
    assert bootstrap_interval(anomalous, first, first, seed=0) == (0.0, 0.0)
    narrow = bootstrap_interval(anomalous, first, second, seed=0, confidence=0.5) or (0.0, 0.0)
    wide = bootstrap_interval(anomalous, first, second, seed=0, confidence=0.99) or (0.0, 0.0)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
