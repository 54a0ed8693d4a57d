"""`patchline weights quantise`, and what is made used by service and edge."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from edge_node.encoding.backbones import EdgeBackbones, is_at_hand
from patchline.artifacts.engines import EngineCache, edge_backbone
from patchline.cli.weights import app
from patchline.vision.backbones import BACKBONES, store
from patchline.wire.errors import EXIT_MISCONFIGURED, UnavailableError
from patchline.wire.messages import AssetReference, ProfileCodec

TAPS = BACKBONES["patchline_s"].default_taps
NAME = "patchline_s:int8"


@pytest.fixture(autouse=True)
def weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder and a cache of the test's own, beside what is packaged."""
    folder = tmp_path / "weights"
    monkeypatch.setenv("PATCHLINE_WEIGHTS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "good"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(6):
        small = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        small.resize((64, 64)).save(folder / f"{index}.png")
    return folder


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


@pytest.mark.torch
def test_the_int8_form_is_printed_beside_the_float_one_and_used_by_name(
    pictures: Path, weights_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnx", reason="the torch extra is not installed")
    words = ("quantise", "patchline_s", "--data", str(pictures), "--side", "64", "--json", str(tmp_path / "q.json"))
    code, output = run(*words, "--out", str(weights_folder))
    assert code == 0, output
    for said in (
        "features of stride16",
        "times faster",
        "times smaller",
        "held-out normal scores",
        f"--backbone {NAME}",
    ):
        assert said in output
    assert "add" not in output
    figures = json.loads((tmp_path / "q.json").read_text())
    assert figures["model_bytes"][NAME] < figures["model_bytes"]["patchline_s"]
    assert figures["pictures"] == {"learnt": 3, "held_out": 3}
    assert set(figures["relative_errors"]) == set(TAPS)
    assert NAME in run("list")[1]

    key, engine = EngineCache(threads=1).choose(NAME, ())
    plain, exact = EngineCache(threads=1).choose("patchline_s", ())
    assert (key.name, key.taps) == (NAME, TAPS)
    assert key.sha256 != plain.sha256
    batch = np.random.default_rng(1).standard_normal((1, 3, 64, 64)).astype(np.float32)
    assert not np.array_equal(engine.run(batch)["stride8"], exact.run(batch)["stride8"])
    named, sent = edge_backbone(key)
    assert sent is not None
    assert hashlib.sha256(sent).hexdigest() == key.sha256 == named.sha256

    profile_codec = ProfileCodec(codec="features", artifact="a", backbone=NAME, backbone_sha256=key.sha256)
    assert is_at_hand(AssetReference(name="backbone", sha256=key.sha256, size=len(sent)))
    here = EdgeBackbones(threads=1, fetched=_nothing).engine_of(profile_codec, TAPS)
    np.testing.assert_array_equal(here.run(batch)["stride8"], engine.run(batch)["stride8"])
    for path in weights_folder.iterdir():
        path.unlink()
    fetched = EdgeBackbones(threads=1, fetched={key.sha256: sent}.__getitem__).engine_of(profile_codec, TAPS)
    np.testing.assert_array_equal(fetched.run(batch)["stride16"], engine.run(batch)["stride16"])


def _nothing(sha256: str) -> bytes:
    raise UnavailableError(f"{sha256} was not sent")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("resnet19",), "use one of: patchline_s"),
        (("patchline_s:int8",), "quantised already"),
        (("patchline_s", "--taps", "stride4"), "choose among stride8, stride16"),
    ],
)
def test_what_cannot_be_done_ends_in_one_line(pictures: Path, words: tuple[str, ...], message: str) -> None:
    code, output = run("quantise", *words, "--data", str(pictures))
    assert code == EXIT_MISCONFIGURED
    assert message in " ".join(output.split())


def test_too_few_pictures_are_refused(pictures: Path) -> None:
    for path in sorted(pictures.iterdir())[3:]:
        path.unlink()
    code, output = run("quantise", "patchline_s", "--data", str(pictures))
    assert code == EXIT_MISCONFIGURED
    assert "too few to calibrate on" in " ".join(output.split())


def test_help_shows_an_example_and_a_missing_form_says_how_to_make_it() -> None:
    code, output = run("quantise", "--help")
    assert code == 0
    assert "patchline weights quantise mobilenet_v2" in " ".join(output.split())
    assert store.cache_folder().is_dir() is False
