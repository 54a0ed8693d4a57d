"""The shelf: what it finds for whom, what it shares, and what it refuses to open."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from patchline.artifacts.artifact import save
from patchline.artifacts.assets import FOLDER
from patchline.artifacts.engines import EngineCache
from patchline.artifacts.store import PROFILE_FILE, ArtifactStore, open_store
from patchline.commissioning.commission import Request, commission
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import AssetReference, ProfileCodec, pack, sealed
from patchline.wire.topics import Station

CAM1, CAM2 = Station("plant", "line1", "cam1"), Station("plant", "line1", "cam2")


def opened(folder: Path) -> ArtifactStore:
    return open_store(folder, engine_for=EngineCache(threads=1).engine_for)


@pytest.fixture
def folder(plant: Any, tmp_path: Path) -> Path:
    """The station's artifacts, to be tampered with."""
    return Path(shutil.copytree(plant.artifacts, tmp_path / "artifacts"))


def test_every_artifact_of_a_profile_is_found_for_its_station(plant: Any, artifact_store: ArtifactStore) -> None:
    for profile_codec in plant.made.profile.ladder:
        found = artifact_store.find(CAM1, profile_codec.artifact)
        assert found is not None
        assert found.codec == profile_codec.codec
        assert artifact_store.find(CAM2, profile_codec.artifact) is None


def test_a_station_may_use_another_ones_artifact_if_its_profile_names_it(plant: Any, folder: Path) -> None:
    profile = sealed(msgspec.structs.replace(plant.made.profile, station=str(CAM2)))
    (folder / str(CAM2)).mkdir(parents=True)
    (folder / str(CAM2) / PROFILE_FILE).write_bytes(pack(profile))
    assert opened(folder).find(CAM2, profile.ladder[0].artifact) is not None


def test_a_replaced_artifact_is_still_found(request_for: Callable[..., Request], tmp_path: Path) -> None:
    for seed in (1, 2):
        made = commission(request_for(tmp_path, codecs=("png",), seed=seed), on_progress=lambda *_: None)
    artifact_store = opened(tmp_path)
    assert len(artifact_store.artifacts) == 2
    assert all(artifact_store.find(CAM1, shelved.fingerprint) for shelved in artifact_store.artifacts)
    assert (
        artifact_store.profiles["plant/line1/cam1"].ladder[0].artifact
        == made.commissioned_codecs[0].artifact.fingerprint
    )


def test_artifacts_of_one_backbone_share_its_engine(artifact_store: ArtifactStore) -> None:
    assert len({shelved.reader.batch_key for shelved in artifact_store.artifacts}) == 1


def test_an_asset_is_found_only_while_a_profile_offers_it(
    plant: Any, artifact_store: ArtifactStore, tmp_path: Path
) -> None:
    (tmp_path / ("a" * 64)).write_bytes(b"codebook")
    profile_codec = ProfileCodec(
        codec="webp:80",
        artifact=artifact_store.artifacts[0].fingerprint,
        assets=(AssetReference(name="codebook", sha256="a" * 64, size=8),),
    )
    offering = sealed(msgspec.structs.replace(plant.made.profile, ladder=(profile_codec,)))
    assert ArtifactStore(artifact_store.artifacts, [offering], tmp_path).asset("a" * 64) == tmp_path / ("a" * 64)
    assert ArtifactStore(artifact_store.artifacts, [plant.made.profile], tmp_path).asset("a" * 64) is None
    assert FOLDER == "assets"


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="patchline commission"):
        opened(tmp_path)


def test_a_damaged_profile_is_refused_by_name(folder: Path) -> None:
    path = folder / str(CAM1) / PROFILE_FILE
    path.write_bytes(path.read_bytes().replace(b"webp:80", b"webp:81"))
    with pytest.raises(MisconfiguredError, match=r"profile is damaged.*profile\.msgpack"):
        opened(folder)


def test_a_profile_that_names_a_missing_artifact_is_refused(folder: Path) -> None:
    (folder / str(CAM1) / "webp-80.safetensors").unlink()
    with pytest.raises(MisconfiguredError, match="webp:80, which is not here"):
        opened(folder)


def test_an_artifact_for_an_unknown_codec_is_refused(plant: Any, tmp_path: Path) -> None:
    artifact = plant.made.commissioned_codecs[0].artifact
    header = msgspec.structs.replace(artifact.header, codec="jpeg2000")
    save(tmp_path / "a.safetensors", header, artifact.detector)
    with pytest.raises(MisconfiguredError, match=r"jpeg2000.*a\.safetensors"):
        opened(tmp_path)


def test_an_artifact_for_other_weights_is_refused_with_both_digests(
    plant: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, other_weights: Path
) -> None:
    monkeypatch.setenv("PATCHLINE_WEIGHTS", str(other_weights))
    made_with = plant.made.commissioned_codecs[0].backbone.sha256[:12]
    with pytest.raises(MisconfiguredError, match=rf"mobilenet_v2 \({made_with}\).*{other_weights}.* is [0-9a-f]{{12}}"):
        opened(folder)


def test_an_artifact_whose_weights_are_gone_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATCHLINE_WEIGHTS", str(tmp_path / "nothing"))
    with pytest.raises(MisconfiguredError, match="needs backbone mobilenet_v2"):
        opened(folder)


@pytest.mark.parametrize("content", [b"", b"\x00\x05\x16\x07 AppleDouble", b"{}" * 500])
@pytest.mark.parametrize("name", ["._png.safetensors", "stray.safetensors", "older/png-before.safetensors"])
def test_a_file_that_is_no_artifact_is_set_aside_by_name_and_the_others_work(
    plant: Any, folder: Path, name: str, content: bytes
) -> None:
    stray = folder / str(CAM1) / name
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(content)
    artifact_store = opened(folder)
    assert list(artifact_store.set_aside) == [stray]
    assert stray.name in str(artifact_store.set_aside[stray])
    assert all(artifact_store.find(CAM1, profile_codec.artifact) for profile_codec in plant.made.profile.ladder)


def test_a_station_whose_artifact_is_damaged_does_not_keep_another_from_being_served(
    request_for: Callable[..., Request], folder: Path
) -> None:
    commission(request_for(folder, station=CAM2, codecs=("png",), seed=2), on_progress=lambda *_: None)
    damaged = folder / str(CAM2) / "png.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    artifact_store = opened(folder)
    assert set(artifact_store.set_aside) == {damaged, folder / str(CAM2) / PROFILE_FILE}
    assert list(artifact_store.profiles) == [str(CAM1)]
