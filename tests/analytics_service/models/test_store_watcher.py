"""A folder that changes is opened again once it stands still; what cannot be opened changes nothing."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from analytics_service.models.store_watcher import CurrentArtifacts, remove_older, state_of, watch_until
from patchline.artifacts.engines import EngineCache
from patchline.artifacts.store import ArtifactStore, StoredArtifact, open_store

Eventually = Callable[..., None]


class Watched:
    """A watch over a copy of the plant's artifacts, in a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.aside = folder, folder.with_name("aside")
        self.engines = EngineCache(threads=1)
        self._before = state_of(folder)
        self.first = self._open({})
        self.current = CurrentArtifacts(self.first)
        self.opened = self.exchanged = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _open(self, known: Mapping[str, StoredArtifact]) -> ArtifactStore:
        return open_store(self.folder, engine_for=self.engines.engine_for, known=known)

    def _count(self, known: Mapping[str, StoredArtifact]) -> ArtifactStore:
        try:
            return self._open(known)
        finally:
            self.opened += 1  # afterwards, so that what a test changes then is not what was opened

    def _note(self) -> None:
        self.exchanged += 1

    def _watch(self) -> None:
        watch_until(
            self._stopped,
            self.folder,
            opened=self._before,
            current=self.current,
            open_again=self._count,
            on_exchanged=self._note,
            interval_seconds=0.02,
        )

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


def put_whole(content: bytes, path: Path, *, aside: Path) -> None:
    """In one step, so that however slowly the test runs the watch never sees half of it."""
    aside.write_bytes(content)
    aside.replace(path)


@pytest.fixture
def watched(plant: Any, tmp_path: Path) -> Any:
    shutil.copytree(plant.artifacts, tmp_path / "artifacts")
    watched = Watched(tmp_path / "artifacts")
    yield watched
    watched.stop()


def test_what_is_loaded_already_is_used_again(watched: Watched, eventually: Eventually) -> None:
    artifact = next(watched.folder.rglob("*.safetensors"))
    (artifact.parent / "older").mkdir()
    put_whole(artifact.read_bytes(), artifact.parent / "older" / "copy.safetensors", aside=watched.aside)
    eventually(lambda: watched.exchanged == 1)
    assert set(map(id, watched.current.artifacts)) == set(map(id, watched.first.artifacts))
    assert watched.current.profiles == watched.first.profiles
    assert watched.current.asset("0" * 64) is None


def test_what_cannot_be_opened_leaves_the_shelf_as_it_is_until_it_can(watched: Watched, eventually: Eventually) -> None:
    profile = next(watched.folder.rglob("profile.msgpack"))
    whole = profile.read_bytes()
    put_whole(whole[:-5], profile, aside=watched.aside)
    eventually(lambda: watched.opened == 1)
    put_whole(whole, profile, aside=watched.aside)
    eventually(lambda: watched.exchanged == 1)
    assert watched.opened == 2


def test_replaced_artifacts_go_when_nobody_can_ask_for_them_and_the_others_stay(tmp_path: Path) -> None:
    old, current = tmp_path / "s" / "older" / "png-1.safetensors", tmp_path / "s" / "png.safetensors"
    for path in (old, current):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"artifact")
        os.utime(path, (1.0, 1.0))
    assert remove_older(tmp_path, before=time.time() - 3600) == 0, "it was put away just now"
    assert remove_older(tmp_path, before=time.time() + 3600) == 1
    assert (old.exists(), current.exists()) == (False, True)
