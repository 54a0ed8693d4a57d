"""Stations of one product share one bank; what was commissioned before is taken as it is."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edge_node.control.profile_cache import read_profile
from patchline.artifacts.artifact import ArtifactHeader, BackboneKey, NormalScores, load, save
from patchline.artifacts.assets import FOLDER
from patchline.artifacts.signatures import check_artifact, sign
from patchline.artifacts.store import PROFILE_FILE
from patchline.replay.shared_bank import adopt
from patchline.replay.signing import signer_of
from patchline.runtime import signing
from patchline.runtime.signing import SigningKey, VerifyKey
from patchline.vision.detectors import DETECTORS
from patchline.vision.scoring.calibration import calibrate
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import Profile, ProfileCodec, check_profile, pack, sealed, unpack

STATIONS = ["replay/bottle/one", "replay/bottle/two"]


@pytest.fixture
def commissioned(tmp_path: Path) -> Any:
    """Two artifacts of another site's station, as commission would have left them."""
    rng = np.random.default_rng(0)
    maps = {"tap": rng.normal(size=(12, 8, 6, 6)).astype(np.float32)}
    detector = DETECTORS["patchcore"].fit([maps], seed=0)
    folder = tmp_path / "artifacts"
    commissioned_codecs = []
    for codec in ("webp:80", "png"):
        header = ArtifactHeader(
            station="plant/line/cam",
            codec=codec,
            input_size=(64, 64),
            backbone=BackboneKey("mobilenet_v2", "0" * 64, ("tap",)),
            detector="patchcore",
            parameters=detector.parameters,
            calibration=calibrate(rng.random(20)),
            normal_scores=NormalScores(20, 0.0, 0.5, 1.0),
            map_range=(0.0, 2.0),
            seed=0,
            created=0.0,
        )
        path = folder / "plant/line/cam" / f"{codec.replace(':', '-')}.safetensors"
        commissioned_codecs.append(
            ProfileCodec(codec=codec, artifact=save(path, header, detector).fingerprint, backbone="marked")
        )
    profile = sealed(Profile(station="plant/line/cam", input_size=(64, 64), ladder=tuple(commissioned_codecs)))
    (folder / "plant/line/cam" / PROFILE_FILE).write_bytes(pack(profile))
    return folder


def profile_of(folder: Any, station: Any) -> Any:
    profile: Profile = unpack((folder / station / PROFILE_FILE).read_bytes(), Profile)
    check_profile(profile)
    return profile


def test_every_station_gets_a_profile_that_names_the_one_artifact(commissioned: Any, tmp_path: Path) -> None:
    artifact = adopt(commissioned, STATIONS, tmp_path / "line", codec="webp:80")
    for station in STATIONS:
        profile = profile_of(tmp_path / "line", station)
        assert profile.station == station
        assert [profile_codec.artifact for profile_codec in profile.ladder] == [artifact.fingerprint]
        assert profile.input_size == (64, 64)
    copies = list((tmp_path / "line").rglob("*.safetensors"))
    assert [load(copy).fingerprint for copy in copies] == [artifact.fingerprint]


def test_the_rung_is_taken_from_the_profile_beside_the_artifact(commissioned: Any, tmp_path: Path) -> None:
    path = commissioned / "plant/line/cam/png.safetensors"
    adopt(path, STATIONS, tmp_path / "line")
    assert profile_of(tmp_path / "line", STATIONS[0]).ladder[0].backbone == "marked"


def test_an_artifact_without_a_profile_is_enough(commissioned: Any, tmp_path: Path) -> None:
    (commissioned / "plant/line/cam" / PROFILE_FILE).unlink()
    adopt(commissioned / "plant/line/cam/png.safetensors", STATIONS, tmp_path / "line")
    assert profile_of(tmp_path / "line", STATIONS[1]).ladder[0].codec == "png"


def test_assets_come_along(commissioned: Any, tmp_path: Path) -> None:
    (commissioned / FOLDER).mkdir()
    (commissioned / FOLDER / ("a" * 64)).write_bytes(b"codebook")
    adopt(commissioned, STATIONS, tmp_path / "line", codec="png")
    assert (tmp_path / "line" / FOLDER / ("a" * 64)).read_bytes() == b"codebook"


def test_several_artifacts_and_no_codec_is_a_question_back(commissioned: Any, tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"2 artifacts.*name one of them"):
        adopt(commissioned, STATIONS, tmp_path / "line")


def test_a_codec_nobody_commissioned_is_refused(commissioned: Any, tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="no artifact for codec webp:20"):
        adopt(commissioned, STATIONS, tmp_path / "line", codec="webp:20")


def test_a_damaged_artifact_is_refused_by_name(commissioned: Any, tmp_path: Path) -> None:
    path = commissioned / "plant/line/cam/png.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(MisconfiguredError, match=r"png\.safetensors"):
        adopt(path, STATIONS, tmp_path / "line")


def test_an_older_artifact_is_not_mistaken_for_the_one_in_use(commissioned: Any, tmp_path: Path) -> None:
    older = commissioned / "plant/line/cam/older/png.safetensors"
    older.parent.mkdir()
    older.write_bytes((commissioned / "plant/line/cam/webp-80.safetensors").read_bytes())
    artifact = adopt(commissioned, STATIONS, tmp_path / "line", codec="png")
    assert artifact.header.codec == "png"
    assert msgspec.to_builtins(artifact.header)["codec"] == "png"


def key_file(folder: Any) -> Any:
    path = folder / "signing.key"
    path.write_bytes(signing.generate()[0])
    return path


@pytest.mark.parametrize("with_a_key", [True, False])
def test_what_a_signer_shares_is_what_a_verifying_service_and_station_take(
    commissioned: Any, tmp_path: Path, with_a_key: Any
) -> None:
    key = key_file(tmp_path) if with_a_key else None
    signer = signer_of(tmp_path, key)
    if key is not None:
        fingerprints = [load(path).fingerprint for path in commissioned.rglob("*.safetensors")]
        own = profile_of(commissioned, "plant/line/cam")
        sign(commissioned, own, commissioned / "plant/line/cam" / PROFILE_FILE, fingerprints, SigningKey(key))
    out = tmp_path / "line"
    artifact = adopt(commissioned, STATIONS, out, codec="png", signer=signer)
    verify_key = VerifyKey(signer.verify_key)
    check_artifact(out, out / "png.safetensors", artifact.fingerprint, verify_key)
    for station in STATIONS:
        assert read_profile((out / station / PROFILE_FILE).read_bytes(), station, verify_key).station == station


def test_a_key_does_not_vouch_for_what_its_owner_did_not_sign(commissioned: Any, tmp_path: Path) -> None:
    signer = signer_of(tmp_path, key_file(tmp_path))
    with pytest.raises(MisconfiguredError, match=r"is not signed.*png\.safetensors"):
        adopt(commissioned, STATIONS, tmp_path / "line", codec="png", signer=signer)
    assert not (tmp_path / "line").exists()


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "signing.key").write_bytes(b"no key")
    with pytest.raises(MisconfiguredError, match="no signing key"):
        signer_of(tmp_path, tmp_path / "signing.key")
