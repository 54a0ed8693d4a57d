"""The smallest codec whose loss is bounded: how it is tried, chosen, told and kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from patchline.artifacts.artifact import load
from patchline.artifacts.choices import Choice, Tried
from patchline.commissioning.commission import Request, commission
from patchline.commissioning.trials import planted
from patchline.commissioning.trials.codecs import DEFAULT_LADDER, ladder_of
from patchline.wire.errors import MisconfiguredError


@pytest.fixture(autouse=True)
def few_defects(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few as there are pictures, because planting takes its time."""
    monkeypatch.setattr(planted, "PLANTED", planted.FEWEST_PICTURES)


def choice_of(chosen: str, *names: str) -> Choice:
    tried = [
        Tried(parameters={"codec": name}, image_auroc=0.9, gain=0.0, interval=(0.0, 0.0), margin=-0.01)
        for name in names
    ]
    return Choice(chosen={"codec": chosen}, reason="", pictures=40, planted=40, tried=tuple(tried))


def test_the_chosen_codec_is_first_and_the_smaller_ones_are_below_it() -> None:
    made = choice_of("webp:80", "webp:5", "webp:20", "webp:80")
    assert ladder_of(made, ("webp:80", "png", "webp:20", "webp:5")) == ("webp:80", "webp:20", "webp:5")
    assert ladder_of(made, DEFAULT_LADDER) == ("webp:80",)


def test_codecs_are_tried_by_rising_bytes_until_the_loss_of_one_is_bounded(
    request_for: Callable[..., Request], tmp_path: Path
) -> None:
    request = asked(request_for, tmp_path, codecs=("png", "webp:90", "webp:1"), false_loss=0.02)
    choice = commission(request, on_progress=lambda *_: None).choice
    assert choice is not None
    sizes = [each.payload_bytes or 0 for each in choice.tried]
    assert sizes == sorted(sizes)
    assert [each.interval[0] > -0.02 for each in choice.tried] == [*[False] * (len(sizes) - 1), True]
    assert choice.chosen == choice.tried[-1].parameters
    assert choice.reason.startswith(f"{choice.tried[-1].description}, on 16 defects planted into 16 pictures")


def asked(request_for: Callable[..., Request], tmp_path: Path, **told: Any) -> Request:
    return request_for(tmp_path / "out", **told)


def test_the_choice_is_kept_in_the_artifact_and_the_profile(
    request_for: Callable[..., Request], tmp_path: Path
) -> None:
    made = commission(
        asked(request_for, tmp_path, codecs=("png", "webp:90", "webp:1"), false_loss=0.5), on_progress=lambda *_: None
    )
    assert made.choice is not None
    assert made.profile.ladder[0].codec == made.choice.chosen["codec"] == "webp:1"
    assert load(made.commissioned_codecs[0].path).header.codec_choice == made.choice
    again = commission(
        asked(request_for, tmp_path / "again", codecs=("png", "webp:90", "webp:1"), false_loss=0.5),
        on_progress=lambda *_: None,
    )
    assert again.choice == made.choice


def test_the_original_itself_loses_nothing(request_for: Callable[..., Request], tmp_path: Path) -> None:
    request = asked(request_for, tmp_path, codecs=("png",), false_loss=0.0001)
    made = commission(request, on_progress=lambda *_: None)
    assert made.choice is not None
    assert made.choice.tried[0].interval == (0.0, 0.0)


def test_codecs_of_feature_maps_are_held_against_the_raw_maps(
    request_for: Callable[..., Request], tmp_path: Path
) -> None:
    request = asked(request_for, tmp_path, codecs=("features", "int8"), false_loss=0.2)
    made = commission(request, on_progress=lambda *_: None)
    assert made.choice is not None
    assert made.choice.reference == "features"
    assert made.profile.ladder[0].codec == "int8"


def test_a_bound_that_no_codec_keeps_is_refused_with_the_closest(
    request_for: Callable[..., Request], tmp_path: Path
) -> None:
    request = asked(request_for, tmp_path, codecs=("webp:1", "jpeg:1"), false_loss=0.0001)
    with pytest.raises(MisconfiguredError, match=r"no codec loses at most.*closest comes.*--false-loss"):
        commission(request, on_progress=lambda *_: None)
