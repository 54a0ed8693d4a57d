"""Options of a detector at commissioning: what is tried, and what reaches the artifact."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from patchline.artifacts.artifact import load
from patchline.commissioning.commission import Request, commission
from patchline.commissioning.trials.options import choose_options
from patchline.commissioning.trials.planted import FEWEST_PICTURES, TwoFolds, plant
from patchline.vision.detectors import DETECTORS
from patchline.vision.pixels.arrays import FeatureMaps, Pixels


def maps_of(pictures: Pixels) -> FeatureMaps:
    """Mean colours of 4x4 blocks and how they vary: a backbone of sorts."""
    count, height, width, _ = pictures.shape
    blocks = pictures.reshape(count, height // 4, 4, width // 4, 4, 3).astype(np.float32)
    features = np.concatenate([blocks.mean(axis=(2, 4)), blocks.std(axis=(2, 4))], axis=-1)
    return {"tap": np.ascontiguousarray(features.transpose(0, 3, 1, 2))}


def pictures_of(count: int, seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    light = rng.normal(120, 20, (count, 1, 1, 1))
    return np.clip(light + rng.normal(0, 4, (count, 32, 32, 3)), 0, 255).astype(np.uint8)


def tuned(detector: str, pictures: Pixels, seed: int = 0, **parameters: object) -> tuple[object, list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    tuning = choose_options(
        TwoFolds(DETECTORS[detector], parameters, seed),
        pictures,
        maps_of(pictures),
        maps_of,
        on_progress=lambda done, total: told.append((done, total)),
    )
    return tuning, told


@pytest.mark.parametrize("detector", DETECTORS)
def test_every_option_is_tried_and_the_same_seed_decides_alike(detector: str) -> None:
    pictures = pictures_of(16)
    before = pictures.copy()
    tuning, told = tuned(detector, pictures)
    again, _ = tuned(detector, pictures)
    assert tuning == again
    modes = len(DETECTORS[detector].score_modes)
    assert len(tuning.tried) % modes == modes - 1  # type: ignore[attr-defined]
    assert told[-1][0] == told[-1][1]
    np.testing.assert_array_equal(pictures, before)


def test_where_the_light_changes_the_contrast_is_what_counts() -> None:
    tuning, _ = tuned("padim", pictures_of(40), covariance="full")
    assert tuning.chosen == {"score": "contrast"}, tuning.reason  # type: ignore[attr-defined]


def test_too_few_pictures_change_nothing() -> None:
    tuning, told = tuned("patchcore", pictures_of(FEWEST_PICTURES - 1))
    assert tuning.chosen == {}  # type: ignore[attr-defined]
    assert "too few" in tuning.reason  # type: ignore[attr-defined]
    assert told == []


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_defect_is_planted_into_any_picture(level: int) -> None:
    flat = np.full((64, 48, 3), level, dtype=np.uint8)
    for seed in range(12):
        drawn = plant(flat, np.random.default_rng(seed))
        assert drawn.shape == flat.shape
        assert (drawn != flat).any()
    assert (flat == level).all()


@pytest.mark.parametrize("codec", ["webp:80", "float16"])
def test_the_artifact_says_what_was_chosen_and_why(
    request_for: Callable[..., Request], tmp_path: Path, codec: str
) -> None:
    phases: list[str] = []
    made = commission(
        request_for(tmp_path, codecs=(codec,), tune=True, asset_budget_bytes=1 << 30),
        on_progress=lambda phase, *_: phases.append(phase),
    )
    header = load(made.commissioned_codecs[0].path).header
    assert header.tuning is not None
    assert header.tuning.planted >= header.tuning.pictures == 16
    assert header.parameters.items() >= header.tuning.chosen.items()
    assert header.parameters["coreset_ratio"] == 0.2
    assert f"{codec}: tune" in phases


def test_nothing_is_tuned_unless_asked_for(request_for: Callable[..., Request], tmp_path: Path) -> None:
    made = commission(request_for(tmp_path, codecs=("webp:80",)), on_progress=lambda *_: None)
    assert made.commissioned_codecs[0].artifact.header.tuning is None
