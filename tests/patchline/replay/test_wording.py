"""A run in sentences a person would say."""

from typing import Any

import msgspec
import pytest

from patchline.replay.accuracy import Accuracy, PeakTally
from patchline.replay.reconciliation import join
from patchline.replay.report.wording import counted, findings, headline
from patchline.replay.summary import summarise


@pytest.fixture
def told(entries: Any, verdict_on: Any, drop_of: Any, sighting_of: Any) -> Any:
    def tell(scores: Any, *, drops: Any = 0, **changes: Any) -> Any:
        kept = entries[: len(scores) + drops]
        seen = [sighting_of(verdict_on(entry, score=score)) for entry, score in zip(kept, scores, strict=False)]
        seen += [sighting_of(drop_of(entry)) for entry in kept[len(scores) :]]
        summary = summarise(
            join(kept, seen),
            {},
            accuracy=Accuracy(),
            by_station={"plant/line/one": Accuracy()},
            peaks=None,
            stamp={"machine": {}, "versions": {}, "commit": None, "seed": 0},
            configuration={},
            faults=[],
            duration_seconds=1.0,
        )
        return msgspec.structs.replace(summary, **changes)

    return tell


def test_the_books_in_one_sentence(told: Any) -> None:
    assert headline(told([3.0, 1.0, 1.0])) == "3 parts produced, 3 judged, 0 lost."
    assert headline(told([3.0], drops=1)) == "2 parts produced, 1 judged, 1 dropped (1 capture failed), 0 lost."


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        ([3.0, 1.0, 1.0, 3.0], "All 2 defective parts were rejected."),
        ([1.0, 1.0, 1.0, 1.0], "None of the 2 defective parts was rejected."),
        ([3.0, 1.0, 1.0, 1.0], "1 of 2 defective parts was rejected."),
        ([3.0, 1.0], "The one defective part was rejected."),
        ([1.0, 3.0], "The one defective part was not rejected."),
        ([3.0, 1.0, 1.0], "None of the 2 good parts was rejected."),
    ],
)
def test_rejects_are_told_with_the_right_grammar(told: Any, scores: Any, sentence: Any) -> None:
    assert sentence in findings(told(scores))


def test_what_a_reader_must_know_is_told_only_when_it_happened(told: Any) -> None:
    calm = " ".join(findings(told([3.0, 1.0])))
    rough = " ".join(
        findings(
            told(
                [3.0, 1.0],
                late=1,
                duplicates=2,
                unwitnessed=3,
                damaged=8,
                maps=4,
                maps_missing=5,
                peaks_in_mask=PeakTally(inside=6, of=7),
            )
        )
    )
    for words in (
        "1 verdict came too late",
        "2 verdicts came again",
        "For 3 verdicts the records are the witness",
        "rest on 4 anomaly maps; 5 anomaly maps never came",
        "6 of 7",
        "8 messages",
    ):
        assert words in rough
        assert words not in calm
    for words in ("late", "again", "watcher", "never came", "hottest"):
        assert words not in calm


def test_the_bound_of_each_threshold_is_told(told: Any) -> None:
    bank = {"threshold": 2.0, "normal_pictures": 209, "false_reject_bound": 0.01423}
    assert "The threshold rests on 209 normal pictures, which bound its false rejects at 1.4%." in findings(
        told([1.0], configuration=bank)
    )
    assert "The threshold of washers rests" in " ".join(findings(told([1.0], configuration={"washer": bank})))


def test_one_is_singular() -> None:
    assert (counted(1, "part"), counted(2, "part"), counted(0, "part")) == ("1 part", "2 parts", "0 parts")
