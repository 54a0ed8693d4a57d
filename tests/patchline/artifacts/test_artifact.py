"""Artifacts: written whole, read back the same, refused by name when anything is wrong with them."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from patchline.artifacts.artifact import HEADER_KEY, ArtifactHeader, load, save
from patchline.runtime.atomic_file import write_atomically
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import sha256_of


def test_an_artifact_comes_back_as_it_was_saved(plant: Any) -> None:
    profile_codec = plant.made.commissioned_codecs[0]
    loaded = load(profile_codec.path)
    assert loaded.header == profile_codec.artifact.header
    assert loaded.fingerprint == profile_codec.artifact.fingerprint == sha256_of(profile_codec.path.read_bytes())
    assert loaded.size_bytes == profile_codec.path.stat().st_size
    for name, tensor in profile_codec.artifact.detector.tensors().items():
        np.testing.assert_array_equal(loaded.detector.tensors()[name], tensor)


def test_the_same_content_has_the_same_fingerprint(plant: Any, tmp_path: Path) -> None:
    artifact = plant.made.commissioned_codecs[0].artifact
    assert save(tmp_path / "copy.safetensors", artifact.header, artifact.detector).fingerprint == artifact.fingerprint


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        write_atomically(tmp_path / "deep" / "file", content)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]
    assert (tmp_path / "deep" / "file").read_bytes() == b"new"


@pytest.mark.parametrize("keep", [0, 4, 100, 3000, -1])
def test_a_truncated_artifact_is_refused_by_name(plant: Any, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "webp-80.safetensors"
    path.write_bytes(plant.made.commissioned_codecs[0].path.read_bytes()[:keep])
    with pytest.raises(MisconfiguredError, match=r"damaged.*webp-80\.safetensors.*commission the station again"):
        load(path)


def test_a_missing_artifact_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"cannot be read.*gone\.safetensors"):
        load(tmp_path / "gone.safetensors")


def test_a_stranger_of_the_same_format_is_refused(tmp_path: Path) -> None:
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(MisconfiguredError, match="not an artifact of patchline"):
        load(tmp_path / "model.safetensors")


def test_a_damaged_header_is_refused(tmp_path: Path) -> None:
    save_file({"bank": np.zeros(3, np.float32)}, tmp_path / "a.safetensors", metadata={HEADER_KEY: '{"format": 1}'})
    with pytest.raises(MisconfiguredError, match="header cannot be read"):
        load(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"format": 99}, "format 99"), ({"detector": "oracle"}, "oracle"), ({"parameters": {"magic": 1}}, "magic")],
)
def test_a_header_from_elsewhere_is_refused(plant: Any, tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    artifact = plant.made.commissioned_codecs[0].artifact
    header: ArtifactHeader = msgspec.structs.replace(artifact.header, **changes)
    save(tmp_path / "a.safetensors", header, artifact.detector)
    with pytest.raises(MisconfiguredError, match=named):
        load(tmp_path / "a.safetensors")
