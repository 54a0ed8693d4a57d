import numpy as np
import pytest

from patchline.vision.scoring import evaluation
from patchline.vision.scoring.bootstrap import auroc_resamples, draws, interval, pixel_f1_resamples


def test_one_resample_that_takes_every_picture_once_is_the_measure_itself() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(40) % 3 == 0
    scores = (rng.standard_normal(40) + truth).astype(np.float32)
    once = np.ones((1, 40), np.int64)
    assert auroc_resamples(truth, scores, once)[0] == pytest.approx(evaluation.image_auroc(truth, scores))

    masks = [rng.random((16, 16)) < 0.2 for _ in range(6)]
    maps = np.stack([rng.random((16, 16)) + 0.5 * mask for mask in masks]).astype(np.float32)
    found = pixel_f1_resamples(masks, maps, np.ones((1, 6), np.int64))
    assert found[0] == pytest.approx(evaluation.pixel_f1(masks, maps), abs=0.01)


def test_resamples_keep_the_numbers_of_normal_and_anomalous_pictures() -> None:
    truth = np.array([True] * 5 + [False] * 9)
    drawn = draws(truth, resamples=50, seed=[1, 2])
    assert (drawn[:, truth].sum(axis=1) == 5).all()
    assert (drawn[:, ~truth].sum(axis=1) == 9).all()
    assert np.array_equal(drawn, draws(truth, resamples=50, seed=[1, 2]))


def test_an_interval_lies_between_its_percentiles() -> None:
    assert interval(np.arange(1001.0)) == pytest.approx((25, 975))
    assert interval(np.arange(1001.0), confidence=0.8) == pytest.approx((100, 900))
