"""The smallest codec whose loss is bounded: how it is tried, chosen, told and kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchline.artifacts.artifact import load
from patchline.artifacts.codec_choice import DEFAULT_LADDER, CodecChoice, Tried, ladder_of, smallest_bounded
from patchline.commissioning.commission import Request, commission
from patchline.wire.errors import MisconfiguredError


def tried(codec: str, payload_bytes: float, high: float, loss: float = 0.0) -> Tried:
    return Tried(codec=codec, payload_bytes=payload_bytes, image_auroc=0.9, loss=loss, interval=(-high, high))


def choice_of(*codecs: Tried, false_loss: float = 0.01) -> CodecChoice:
    return CodecChoice(
        false_loss=false_loss, reference="png", reference_auroc=0.9, pictures=40, contrast=0.5, tried=codecs
    )


@given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(0, 0.1)), max_size=8))
def test_no_smaller_codec_is_bounded_than_the_one_chosen(found: list[tuple[float, float]]) -> None:
    all_tried = [tried(f"webp:{place + 1}", size, high) for place, (size, high) in enumerate(found)]
    best = smallest_bounded(all_tried, 0.05)
    bounded = [each for each in all_tried if each.interval[1] <= 0.05]
    assert (best is None) == (not bounded)
    assert best is None or all(best.payload_bytes <= each.payload_bytes for each in bounded)


def test_the_chosen_codec_is_first_and_the_smaller_ones_are_below_it() -> None:
    made = choice_of(tried("webp:5", 900, 0.2), tried("webp:20", 1500, 0.05), tried("webp:80", 3500, 0.005))
    assert ladder_of(made, ("webp:80", "png", "webp:20", "webp:5")) == ("webp:80", "webp:20", "webp:5")
    assert ladder_of(made, DEFAULT_LADDER) == ("webp:80",)


def test_the_reason_names_bytes_loss_and_interval() -> None:
    made = choice_of(tried("webp:5", 900, 0.2), tried("webp:80", 3500, 0.005, loss=0.001))
    assert made.reason.startswith("webp:80, 3.50 kB, loses 0.0010 (-0.0050 to 0.0050): the smallest that loses at most")
    assert choice_of(tried("webp:5", 900, 0.2)).reason.startswith("no codec loses at most 0.01")


def asked(request_for: Callable[..., Request], tmp_path: Path, **told: Any) -> Request:
    return request_for(tmp_path / "out", **told)


def test_the_choice_is_kept_in_the_artifact_and_the_profile(
    request_for: Callable[..., Request], tmp_path: Path
) -> None:
    made = commission(
        asked(request_for, tmp_path, codecs=("png", "webp:90", "webp:1"), false_loss=0.5), on_progress=lambda *_: None
    )
    assert made.choice is not None
    assert made.choice.chosen is not None
    assert made.profile.ladder[0].codec == made.choice.chosen.codec == "webp:1"
    assert load(made.rungs[0].path).header.codec_choice == made.choice
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
