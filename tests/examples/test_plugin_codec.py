"""A codec of another distribution is found by its entry point once that distribution is on the path."""

import shutil
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

from patchline.runtime import entry_points as registry
from patchline.vision.codecs.image.protocol import ImageCodec
from patchline.vision.codecs.lookup import codec_of, feature_codec_class, is_feature_codec
from patchline.vision.detectors import detector_class
from patchline.vision.detectors.patchcore import PatchCore
from patchline.wire.errors import MisconfiguredError, UnreadableError

PACKAGE = Path(__file__).resolve().parents[2] / "examples" / "plugin_codec"


def install(folder: Path, name: str, groups: dict[str, dict[str, str]]) -> None:
    """What an installer leaves beside a distribution's modules."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [line for group, points in groups.items() for line in (f"[{group}]", *map(" = ".join, points.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of distributions of its own, searched first."""
    monkeypatch.syspath_prepend(tmp_path)
    registry.class_in.cache_clear()
    yield tmp_path
    registry.class_in.cache_clear()
    sys.modules.pop("plugin_codec", None)


@pytest.fixture
def codec(path: Path) -> ImageCodec:
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    shutil.copy(PACKAGE / "plugin_codec.py", path)
    install(path, project["name"], project["entry-points"])
    return codec_of("zlib:6")


def test_it_is_a_codec_like_those_of_patchline(codec: ImageCodec) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    assert codec.name == "zlib:6"
    assert codec_of(codec.name) == codec
    assert not is_feature_codec(codec.name)
    np.testing.assert_array_equal(codec.decode(codec.encode(pixels), (20, 30)), pixels)


def test_it_refuses_what_any_codec_refuses(codec: ImageCodec) -> None:
    payload = codec.encode(np.zeros((200, 300, 3), np.uint8))
    for wrong in (payload[:-1], payload + b"\0", b"", payload):
        with pytest.raises(UnreadableError):
            codec.decode(wrong, (20, 30))
    with pytest.raises(MisconfiguredError, match="write zlib:LEVEL"):
        codec_of("zlib:10")


@pytest.mark.usefixtures("codec")
def test_it_is_named_among_the_codecs_that_there_are() -> None:
    with pytest.raises(MisconfiguredError) as caught:
        codec_of("jpg:80")
    assert "zlib" in caught.value.remedy
    with pytest.raises(MisconfiguredError, match="carries pictures"):
        feature_codec_class("zlib:6")


def test_without_the_distribution_its_name_is_unknown() -> None:
    assert not entry_points(group="patchline.codecs", name="zlib")
    with pytest.raises(MisconfiguredError, match="no codec is called 'zlib:6'"):
        codec_of("zlib:6")


def test_feature_codecs_and_detectors_are_added_the_same_way(path: Path) -> None:
    floats = "patchline.vision.codecs.features.floats:FeaturesCodec"
    bank = "patchline.vision.detectors.patchcore:PatchCore"
    install(path, "more", {"patchline.feature_codecs": {"mine": floats}, "patchline.detectors": {"mine": bank}})
    assert is_feature_codec("mine")
    assert detector_class("mine") is PatchCore
    with pytest.raises(MisconfiguredError, match="no detector is called 'patchcoer'") as caught:
        detector_class("patchcoer")
    assert "mine" in caught.value.remedy


def test_a_distribution_that_cannot_be_imported_or_a_name_taken_twice_is_refused_by_name(path: Path) -> None:
    install(path, "broken", {"patchline.codecs": {"gone": "no_such_module:Codec", "twice": "a:B"}})
    install(path, "other", {"patchline.codecs": {"twice": "a:B", "png": "a:B"}})
    with pytest.raises(MisconfiguredError, match=r"cannot be imported from broken 1\.0"):
        codec_of("gone")
    with pytest.raises(MisconfiguredError, match="several distributions"):
        codec_of("twice")
    assert codec_of("png").name == "png"
