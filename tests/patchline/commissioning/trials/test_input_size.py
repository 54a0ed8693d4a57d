"""Input sizes at commissioning: what is tried, what is taken, and that everything downstream follows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from edge_node.encoding.backbones import EdgeBackbones
from edge_node.encoding.feature_encoder import FeatureEncoders
from edge_node.encoding.image_encoder import encoder_of
from patchline.artifacts.artifact import load
from patchline.artifacts.assets import FOLDER
from patchline.artifacts.choices import Choice
from patchline.artifacts.engines import EngineCache
from patchline.artifacts.store import open_store
from patchline.cli.app import app
from patchline.commissioning.commission import Request, commission
from patchline.commissioning.commissioned import Commissioned
from patchline.commissioning.pipeline import choose
from patchline.commissioning.trials import comparison, planted
from patchline.commissioning.trials.input_size import (
    LARGEST,
    LONGER,
    SMALLEST,
    InputTrial,
    sizes_to_try,
    way_of,
    written,
)
from patchline.commissioning.trials.planted import FEWEST_PICTURES, TwoFolds
from patchline.pictures.files import Category, read_category
from patchline.vision.detectors import DETECTORS
from patchline.vision.pixels.arrays import FeatureMaps, Pixels
from patchline.vision.pixels.preprocessing import normalise
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import Profile, unpack

ASKED = (32, 32)
SIDES = st.integers(16, 4000)


@pytest.fixture(autouse=True)
def few_defects(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few as there are pictures, because planting takes its time."""
    monkeypatch.setattr(planted, "PLANTED", FEWEST_PICTURES)


def sent(pictures: Pixels) -> FeatureMaps:
    """Mean colours of 4x4 blocks and how they vary: a backbone of sorts."""
    count, height, width, _ = pictures.shape
    blocks = pictures.reshape(count, height // 4, 4, width // 4, 4, 3).astype(np.float32)
    features = np.concatenate([blocks.mean(axis=(2, 4)), blocks.std(axis=(2, 4))], axis=-1)
    return {"tap": np.ascontiguousarray(features.transpose(0, 3, 1, 2))}


def category_of(folder: Path, count: int, size: tuple[int, int] = (40, 80)) -> Category:
    """Grey pictures with a little noise."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for place in range(count):
        grey = np.clip(rng.normal(120, 3, (*size, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(grey).save(folder / f"{place:03}.png")
    return read_category(folder)


def tried(
    category: Category, send: Callable[[Pixels], FeatureMaps] = sent
) -> tuple[tuple[int, int], Choice, list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    trial = InputTrial(asked=ASKED, stride=4, folds=TwoFolds(DETECTORS["padim"], {}, 0), send=send)
    return *trial.choose(category.train, lambda done, total: told.append((done, total))), told


def test_every_size_is_tried_with_its_cost_and_the_same_seed_decides_alike(tmp_path: Path) -> None:
    category = category_of(tmp_path / "good", 12)
    _, choice, told = tried(category)
    _, again, _ = tried(category)
    pixels = {each.parameters["input_size"]: each.pixels for each in choice.tried}
    assert pixels.keys() == {"24x44", "24x52", "32x64"}
    assert pixels["32x64"] == 2.0
    assert choice == again
    assert told[0] == (0, 4)
    assert told[-1] == (4, 4)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_what_a_size_costs_stands_in_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "INPUT_MARGIN", -1.0)
    size, choice, _ = tried(category_of(tmp_path / "good", 12))
    chosen = choice.chosen["input_size"]
    assert chosen == "x".join(map(str, size))
    assert choice.reason.startswith(f"input_size={chosen} gains ")
    assert "times the pixels" in choice.reason


def test_a_size_without_room_leaves_the_others(tmp_path: Path) -> None:
    def refuse(*sizes: tuple[int, int]) -> Callable[[Pixels], FeatureMaps]:
        def send(pictures: Pixels) -> FeatureMaps:
            if pictures.shape[1:3] in sizes:
                raise MisconfiguredError("no room")
            return sent(pictures)

        return send

    category = category_of(tmp_path / "good", 12)
    _, choice, told = tried(category, refuse((32, 64)))
    assert {each.parameters["input_size"] for each in choice.tried} == {"24x44", "24x52"}
    assert told[-1] == (4, 4)
    with pytest.raises(MisconfiguredError, match="no room"):
        tried(category, refuse(ASKED))


def test_too_few_pictures_change_nothing(tmp_path: Path) -> None:
    category = category_of(tmp_path / "good", FEWEST_PICTURES)
    category.train[0].path.write_bytes(b"no picture")
    size, choice, told = tried(category)
    assert (size, choice.chosen, told) == (ASKED, {}, [])
    assert "too few" in choice.reason


@pytest.mark.parametrize("codec", ["webp:80", "float16", ""])
def test_pictures_go_through_an_image_codec_and_past_one_that_would_have_to_learn(weights: Path, codec: str) -> None:
    assert weights.is_dir()
    taps = ("features.6", "features.13")
    chosen = choose((codec or "png",), EngineCache(threads=1), backbone="mobilenet_v2", taps=taps)
    stride, send = way_of(chosen, codec)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3)).astype(np.uint8)
    found = send(pictures)
    assert stride == 16
    behind = chosen.service or chosen.edge
    assert behind is not None
    plain = behind[1].run(normalise(pictures))
    assert np.array_equal(found[taps[1]], plain[taps[1]]) is (codec != "webp:80")


@pytest.fixture
def long_request(request_for: Callable[..., Request], tmp_path: Path) -> Callable[..., Request]:
    """A request for a line whose pictures are twice as wide as high."""
    category_of(tmp_path / "good", 12, (96, 192))

    def build(**changes: Any) -> Request:
        return request_for(
            tmp_path / "out", data=tmp_path / "good", tune_input=True, asset_budget_bytes=1 << 30, **changes
        )

    return build


def quietly(request: Request) -> Commissioned:
    return commission(request, on_progress=lambda *_: None)


def test_the_input_size_asked_for_stays_where_nothing_is_better(
    long_request: Callable[..., Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "INPUT_MARGIN", 1.0)
    made = quietly(long_request(codecs=("webp:80",)))
    header = load(made.commissioned_codecs[0].path).header
    assert made.profile.input_size == header.input_size == (64, 64)
    assert header.input_tuning is not None
    assert header.input_tuning.chosen == {}
    assert header.input_tuning.reason.startswith("nothing is better for certain")


@pytest.mark.parametrize("codec", ["webp:80", "float16"])
def test_edge_and_service_work_at_the_size_chosen(
    long_request: Callable[..., Request], monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    monkeypatch.setattr(comparison, "INPUT_MARGIN", -1.0)
    request = long_request(codecs=(codec,))
    made = quietly(request)
    header = load(made.commissioned_codecs[0].path).header
    assert made.input_choice is not None
    assert header.input_tuning == made.input_choice
    assert header.input_size != request.input_size
    assert "x".join(map(str, header.input_size)) == made.input_choice.chosen["input_size"]
    profile: Profile = unpack(made.profile_path.read_bytes(), Profile)
    assert profile.input_size == header.input_size

    def fetched(sha256: str) -> bytes:
        return (request.out / FOLDER / sha256).read_bytes()

    features = FeatureEncoders(EdgeBackbones(threads=1, fetched=fetched), fetched)
    payload = encoder_of(profile, codec, features=features).encode(np.full((96, 192, 3), 120, np.uint8)).payload
    shelved = open_store(request.out, engine_for=EngineCache(threads=1).engine_for).find(
        request.station, profile.ladder[0].artifact
    )
    assert shelved is not None
    maps = shelved.reader.embed([shelved.reader.decode(payload)])
    detector = shelved.artifact.detector
    rendering = detector.render(detector.search(detector.embed(maps)), shelved.input_size)
    assert rendering.maps.shape == (1, *header.input_size)
    assert np.isfinite(rendering.scores).all()


@pytest.mark.parametrize("options_given", [(), ("--input-size", "64x64")], ids=["usual", "given"])
def test_a_person_s_own_input_size_stays_and_the_reason_for_another_is_told(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options_given: tuple[str, ...]
) -> None:
    assert weights.is_dir()
    monkeypatch.setattr("patchline.cli.commission.INPUT_SIZE", "64x64")
    category_of(tmp_path / "good", 12, (64, 64))
    options = ["--data", str(tmp_path / "good"), "--station", "plant/l/s", "--out", str(tmp_path / "out"), "--tune"]
    options += ["--backbone", "mobilenet_v2", "--taps", "features.6,features.13", "--detector", "padim", *options_given]
    result = CliRunner().invoke(app, ["commission", *options])
    assert result.exit_code == 0, result.output
    header = load(next((tmp_path / "out").rglob("*.safetensors"))).header
    assert (header.input_tuning is None) is bool(options_given)
    assert header.tuning is not None
    assert ("input size: " in result.output) is not bool(options_given)
    assert header.input_size == (64, 64) if options_given else header.input_size[0] in {64, 80, 96}


def test_square_pictures_leave_only_larger_inputs() -> None:
    assert sizes_to_try((224, 224), [(256, 256)] * 3, 16) == ((256, 256), (320, 320))


def test_long_pictures_are_tried_in_their_own_aspect_with_as_many_pixels_and_with_more() -> None:
    assert sizes_to_try((224, 224), [(256, 640)] * 3, 16) == ((144, 352), (160, 400), (208, 512))
    assert sizes_to_try((224, 224), [(640, 256)] * 3, 32) == ((352, 128), (416, 160), (512, 192))


def test_the_aspect_in_the_middle_counts() -> None:
    assert sizes_to_try((224, 224), [(100, 100), (100, 100), (900, 100)], 16) == ((256, 256), (320, 320))


@given(st.tuples(SIDES, SIDES), st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=5), st.sampled_from([1, 8, 32]))
def test_sizes_are_multiples_of_the_stride_that_an_artifact_can_name(
    asked: tuple[int, int], stored: list[tuple[int, int]], stride: int
) -> None:
    sizes = sizes_to_try(asked, stored, stride)
    assert asked not in sizes
    assert len(set(sizes)) == len(sizes) <= len(LONGER)
    for side in (side for size in sizes for side in size):
        assert side % stride == 0
        assert SMALLEST <= side <= LARGEST


def test_a_size_is_written_as_it_is_given() -> None:
    assert written((144, 352)) == "144x352"
