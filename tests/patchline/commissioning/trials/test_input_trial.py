"""Input sizes at commissioning: what is tried, what is taken, and that everything downstream follows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from edge_node.encoding.backbones import EdgeBackbones
from edge_node.encoding.feature_encoder import FeatureEncoders
from edge_node.encoding.image_encoder import encoder_of
from patchline.artifacts import tuning
from patchline.artifacts.artifact import load
from patchline.artifacts.assets import FOLDER
from patchline.artifacts.engines import EngineCache
from patchline.artifacts.store import open_store
from patchline.cli.app import app
from patchline.commissioning.commission import Request, commission
from patchline.commissioning.commissioned import Commissioned
from patchline.commissioning.pipeline import choose
from patchline.commissioning.trials import tuner
from patchline.commissioning.trials.input_trial import InputTrial, Sent, Sizing, way_of
from patchline.commissioning.trials.tuner import FEWEST_PICTURES
from patchline.pictures.files import Category, read_category
from patchline.vision.detectors import DETECTORS
from patchline.vision.pixels.arrays import Pixels
from patchline.vision.pixels.preprocessing import normalise
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import Profile, unpack

ASKED = (32, 32)


@pytest.fixture(autouse=True)
def few_defects(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few as there are pictures, because drawing takes its time."""
    monkeypatch.setattr(tuner, "PLANTED", FEWEST_PICTURES)


def sent(pictures: Pixels) -> Sent:
    """Mean colours of 4x4 blocks and how they vary: a backbone of sorts; its payload is all there is."""
    count, height, width, _ = pictures.shape
    blocks = pictures.reshape(count, height // 4, 4, width // 4, 4, 3).astype(np.float32)
    features = np.concatenate([blocks.mean(axis=(2, 4)), blocks.std(axis=(2, 4))], axis=-1)
    return Sent({"tap": np.ascontiguousarray(features.transpose(0, 3, 1, 2))}, float(pictures[0].size))


def category_of(folder: Path, count: int, size: tuple[int, int] = (40, 80)) -> Category:
    """Grey pictures with a little noise."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for place in range(count):
        grey = np.clip(rng.normal(120, 3, (*size, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(grey).save(folder / f"{place:03}.png")
    return read_category(folder)


def tried(category: Category, send: Callable[[Pixels], Sent] = sent) -> tuple[Sizing, list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    trial = InputTrial(asked=ASKED, stride=4, kind=DETECTORS["padim"], parameters={}, send=send, seed=0)
    return trial.choose(category.train, lambda done, total: told.append((done, total))), told


def test_every_size_is_tried_with_its_cost_and_the_same_seed_decides_alike(tmp_path: Path) -> None:
    category = category_of(tmp_path / "good", 12)
    sizing, told = tried(category)
    again, _ = tried(category)
    costs = {each.parameters["input_size"]: each.cost for each in sizing.tuning.tried}
    assert costs.keys() == {"24x44", "24x52", "32x64"}
    largest = costs["32x64"]
    assert largest is not None
    assert (largest.pixels, largest.payload) == (2.0, 2.0)
    assert largest.seconds > 0
    gains = [{each.parameters["input_size"]: each.gain for each in one.tuning.tried} for one in (sizing, again)]
    assert gains[0] == gains[1]
    assert told[0] == (0, 12)
    assert told[-1] == (12, 12)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_what_a_size_costs_stands_in_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "INPUT_MARGIN", -1.0)
    sizing, _ = tried(category_of(tmp_path / "good", 12))
    chosen = sizing.tuning.chosen["input_size"]
    assert chosen == "x".join(map(str, sizing.size))
    assert sizing.tuning.reason.startswith(f"input_size={chosen} gains ")
    assert "times the pixels" in sizing.tuning.reason
    assert "times the payload" in sizing.tuning.reason


def test_a_size_without_room_leaves_the_others(tmp_path: Path) -> None:
    def refuse(*sizes: tuple[int, int]) -> Callable[[Pixels], Sent]:
        def send(pictures: Pixels) -> Sent:
            if pictures.shape[1:3] in sizes:
                raise MisconfiguredError("no room")
            return sent(pictures)

        return send

    category = category_of(tmp_path / "good", 12)
    sizing, told = tried(category, refuse((32, 64)))
    assert {each.parameters["input_size"] for each in sizing.tuning.tried} == {"24x44", "24x52"}
    assert told[-1] == (12, 12)
    with pytest.raises(MisconfiguredError, match="no room"):
        tried(category, refuse(ASKED))


def test_too_few_pictures_change_nothing(tmp_path: Path) -> None:
    category = category_of(tmp_path / "good", FEWEST_PICTURES)
    category.train[0].path.write_bytes(b"no picture")
    sizing, told = tried(category)
    assert (sizing.size, sizing.tuning.chosen, told) == (ASKED, {}, [])
    assert "too few" in sizing.tuning.reason


@pytest.mark.parametrize("codec", ["webp:80", "float16", ""])
def test_pictures_go_through_an_image_codec_and_past_one_that_would_have_to_learn(weights: Path, codec: str) -> None:
    assert weights.is_dir()
    taps = ("features.6", "features.13")
    chosen = choose((codec or "png",), EngineCache(threads=1), backbone="mobilenet_v2", taps=taps)
    stride, send = way_of(chosen, codec)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3)).astype(np.uint8)
    found = send(pictures)
    assert stride == 16
    assert (found.payload_bytes is None) is (codec != "webp:80")
    behind = chosen.service or chosen.edge
    assert behind is not None
    plain = behind[1].run(normalise(pictures))
    assert np.array_equal(found.maps[taps[1]], plain[taps[1]]) is (codec != "webp:80")


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
    monkeypatch.setattr(tuning, "INPUT_MARGIN", 1.0)
    made = quietly(long_request(codecs=("webp:80",)))
    header = load(made.rungs[0].path).header
    assert made.profile.input_size == header.input_size == (64, 64)
    assert header.input_tuning is not None
    assert header.input_tuning.chosen == {}
    assert header.input_tuning.reason.startswith("nothing is better for certain")


@pytest.mark.parametrize("codec", ["webp:80", "float16"])
def test_edge_and_service_work_at_the_size_chosen(
    long_request: Callable[..., Request], monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    monkeypatch.setattr(tuning, "INPUT_MARGIN", -1.0)
    request = long_request(codecs=(codec,))
    made = quietly(request)
    header = load(made.rungs[0].path).header
    assert made.sizing is not None
    assert made.sizing.size != request.input_size
    assert header.input_size == made.sizing.size
    assert header.input_tuning == made.sizing.tuning
    profile: Profile = unpack(made.profile_path.read_bytes(), Profile)
    assert profile.input_size == made.sizing.size

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
    assert rendering.maps.shape == (1, *made.sizing.size)
    assert np.isfinite(rendering.scores).all()


@pytest.mark.parametrize("given", [(), ("--input-size", "64x64")], ids=["usual", "given"])
def test_a_person_s_own_input_size_stays_and_the_reason_for_another_is_told(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...]
) -> None:
    assert weights.is_dir()
    monkeypatch.setattr("patchline.cli.commission.INPUT_SIZE", "64x64")
    category_of(tmp_path / "good", 12, (64, 64))
    options = ["--data", str(tmp_path / "good"), "--station", "plant/l/s", "--out", str(tmp_path / "out"), "--tune"]
    options += ["--backbone", "mobilenet_v2", "--taps", "features.6,features.13", "--detector", "padim", *given]
    result = CliRunner().invoke(app, ["commission", *options])
    assert result.exit_code == 0, result.output
    header = load(next((tmp_path / "out").rglob("*.safetensors"))).header
    assert (header.input_tuning is None) is bool(given)
    assert header.tuning is not None
    assert ("input size: " in result.output) is not bool(given)
    assert header.input_size == (64, 64) if given else header.input_size[0] in {64, 80, 96}
