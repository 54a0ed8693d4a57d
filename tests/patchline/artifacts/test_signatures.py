"""The service judges with what the owner of the signing key made, and with nothing else."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from patchline.artifacts.engines import EngineCache
from patchline.artifacts.signatures import FOLDER, sign
from patchline.artifacts.store import PROFILE_FILE, ArtifactStore, open_store
from patchline.runtime import signing
from patchline.runtime.signing import SigningKey, VerifyKey
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import Profile, unpack


@pytest.fixture
def folder(plant: Any, tmp_path: Path) -> Path:
    """The commissioned station's artifacts, signed; the key pair lies beside them."""
    out = tmp_path / "artifacts"
    shutil.copytree(plant.artifacts, out)
    for path, content in zip((tmp_path / "owner.key", tmp_path / "owner.pem"), signing.generate(), strict=True):
        path.write_bytes(content)
    profile_path = out / str(plant.station) / PROFILE_FILE
    profile: Profile = unpack(profile_path.read_bytes(), Profile)
    fingerprints = [profile_codec.artifact for profile_codec in profile.ladder]
    sign(out, profile, profile_path, fingerprints, SigningKey(tmp_path / "owner.key"))
    return out


def opened(folder: Path) -> ArtifactStore:
    key = VerifyKey(folder.parent / "owner.pem")
    return open_store(folder, engine_for=EngineCache(threads=1).engine_for, verify_key=key)


def test_what_is_signed_is_loaded_and_published_with_its_signature(folder: Path, plant: Any) -> None:
    artifact_store = opened(folder)
    assert len(artifact_store.artifacts) == 2
    assert len(artifact_store.profiles[str(plant.station)].signature) == signing.SIGNATURE_BYTES


def test_an_artifact_that_was_moved_or_replaced_by_a_newer_one_keeps_its_signature(folder: Path, plant: Any) -> None:
    station = folder / str(plant.station)
    (station / "older").mkdir(exist_ok=True)
    shutil.copy(station / "png.safetensors", station / "older" / "png-before.safetensors")
    assert len(opened(folder).artifacts) == 2


@pytest.mark.parametrize("what", ["no signature", "another's signature", "a changed file", "an unsigned profile"])
def test_what_is_not_signed_is_named_and_nothing_is_loaded(folder: Path, plant: Any, what: str) -> None:
    station = folder / str(plant.station)
    signatures = sorted((folder / FOLDER).iterdir())
    match what:
        case "no signature":
            signatures[0].unlink()
        case "another's signature":
            shutil.copy(signatures[0], signatures[1])
        case "a changed file":
            path = station / "png.safetensors"
            path.write_bytes(path.read_bytes()[:-1] + b"\x07")
        case _:
            shutil.copy(plant.artifacts / str(plant.station) / PROFILE_FILE, station / PROFILE_FILE)
    with pytest.raises(MisconfiguredError, match=r"not signed.*commission the station again with --signing-key"):
        opened(folder)


def test_without_a_key_nothing_has_to_be_signed(plant: Any) -> None:
    assert open_store(plant.artifacts, engine_for=EngineCache(threads=1).engine_for).artifacts


def test_an_unsigned_artifact_that_was_replaced_does_not_keep_the_signed_ones_from_judging(
    folder: Path, plant: Any
) -> None:
    station = folder / str(plant.station)
    (station / "older").mkdir(exist_ok=True)
    unsigned = station / "older" / "png-unsigned.safetensors"
    unsigned.write_bytes((station / "png.safetensors").read_bytes()[:-9])
    artifact_store = opened(folder)
    assert list(artifact_store.set_aside) == [unsigned]
    assert list(artifact_store.profiles) == [str(plant.station)]
