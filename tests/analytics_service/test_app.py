"""`check` looks at everything a service needs before it goes online."""

import shutil
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from analytics_service.app import check
from analytics_service.settings import read_settings
from patchline.artifacts.artifact import save
from patchline.artifacts.store import PROFILE_FILE
from patchline.runtime.thread_group import ThreadGroup
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import Profile, ProfileCodec, pack, sealed


def checked(folder: Path, tmp_path: Path, more: str = "") -> Any:
    config = tmp_path / "analytics.toml"
    config.write_text(f"artifacts = '{folder}'\n{more}")
    return check(read_settings(config))


def test_a_commissioned_folder_passes_and_names_its_site(plant: Any, tmp_path: Path) -> None:
    found = checked(plant.artifacts, tmp_path)
    assert found.site == "plant"
    assert set(found.artifact_store.profiles) == {"plant/line1/cam1"}


def test_a_service_of_two_sites_has_to_be_told_which_one(plant: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(plant.artifacts, tmp_path / "artifacts"))
    other = sealed(msgspec.structs.replace(plant.made.profile, station="elsewhere/line1/cam1"))
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / PROFILE_FILE).write_bytes(pack(other))
    with pytest.raises(MisconfiguredError, match=r"2 sites \(elsewhere, plant\).*set `site`"):
        checked(folder, tmp_path)
    assert checked(folder, tmp_path, "site = 'elsewhere'").site == "elsewhere"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("site = 'nowhere'", r"no artifact is of site 'nowhere', only of plant \(site\); correct `site`"),
        ("[records]\nurl = 'foo'", r"the records' database URL 'foo' cannot be used"),
        ("[records]\nurl = 'sqlite:////no/such/folder/r.db'", r"/no/such/folder, does not exist"),
    ],
)
def test_a_check_finds_what_would_end_a_start(plant: Any, tmp_path: Path, more: str, words: str) -> None:
    with pytest.raises(MisconfiguredError, match=words):
        checked(plant.artifacts, tmp_path, more)


def test_a_detector_that_does_not_fit_its_backbone_is_refused_before_going_online(plant: Any, tmp_path: Path) -> None:
    """The header names one tap only, so the engine gives fewer channels than the bank has."""
    artifact = plant.made.commissioned_codecs[0].artifact
    key = msgspec.structs.replace(artifact.header.backbone, taps=("features.6",))
    header = msgspec.structs.replace(artifact.header, backbone=key)
    made = save(tmp_path / "artifacts" / "a.safetensors", header, artifact.detector)
    profile = Profile(
        station=header.station,
        input_size=header.input_size,
        ladder=(ProfileCodec(codec=header.codec, artifact=made.fingerprint),),
    )
    (tmp_path / "artifacts" / PROFILE_FILE).write_bytes(pack(sealed(profile)))
    with pytest.raises(MisconfiguredError, match="channels"):
        checked(tmp_path / "artifacts", tmp_path)


def test_contradicting_broker_settings_are_refused(plant: Any, tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="password"):
        checked(plant.artifacts, tmp_path, "[broker]\npassword = 'p'")


def test_a_bug_in_any_thread_ends_the_service_and_is_not_lost() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    over = threading.Event()
    threads = ThreadGroup(on_failure=over.set)
    with threads.watching():
        threads.start("worker", fail)
        assert over.wait(60.0)
        threads.join()
    assert threads.ended() == ["the worker has ended"]
    with pytest.raises(ZeroDivisionError):
        threads.raise_failure()
