"""A running service takes up what commissioning writes: new artifacts judge, and their profile goes out, at once."""

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from patchline.artifacts.artifact import SUFFIX
from patchline.artifacts.store import OLDER_FOLDER, PROFILE_FILE, ArtifactStore, StoredArtifact, named_artifacts
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import Profile
from patchline.wire.topics import Station

log = logging.getLogger(__name__)

_DIGITS = 12
"""Of its fingerprint, at the end of a replaced file's name."""

FolderState = frozenset[tuple[str, int, int]]


class CurrentArtifacts:
    """The artifact store in use; it may be exchanged at any time.

    Args:
        artifact_store: The first one.
    """

    def __init__(self, artifact_store: ArtifactStore) -> None:
        self._artifact_store = artifact_store

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """How each station encodes."""
        return self._artifact_store.profiles

    @property
    def set_aside(self) -> Mapping[Path, MisconfiguredError]:
        """Files that cannot be used, and why."""
        return self._artifact_store.set_aside

    @property
    def artifacts(self) -> tuple[StoredArtifact, ...]:
        """All that can judge."""
        return self._artifact_store.artifacts

    def find(self, station: Station, fingerprint: str) -> StoredArtifact | None:
        """The artifact of this fingerprint if it is here and may judge this station."""
        return self._artifact_store.find(station, fingerprint)

    def asset(self, sha256: str) -> Path | None:
        """The file of an asset that some profile offers, or None."""
        return self._artifact_store.asset(sha256)

    def exchange(self, artifact_store: ArtifactStore) -> None:
        """Use another store from now on."""
        self._artifact_store = artifact_store


def watch_until(
    stopped: threading.Event,
    folder: Path,
    *,
    opened: FolderState,
    current: CurrentArtifacts,
    open_again: Callable[[Mapping[str, StoredArtifact]], ArtifactStore],
    on_exchanged: Callable[[], None],
    interval_seconds: float,
) -> None:
    """Open the folder again when it has changed and then not changed for an interval, until stopped.

    A folder that cannot be opened is logged once and leaves the store in use as it is, because commissioning may be
    in the middle of its work.

    Args:
        stopped: Ends it.
        folder: What `commission --out` named.
        opened: Its state just before it was opened first.
        current: Exchanged.
        open_again: Opens the folder, given what is loaded already.
        on_exchanged: Called with a new store.
        interval_seconds: How often to look.
    """
    before = opened
    while not stopped.wait(interval_seconds):
        state = state_of(folder)
        settled, before = state == before, state
        if state == opened or not settled:
            continue
        opened = state
        known = {artifact.fingerprint: artifact for artifact in current.artifacts}
        try:
            artifact_store = open_again(known)
            for artifact in artifact_store.artifacts:
                if artifact.fingerprint not in known:
                    artifact.warm_up()
            _check_stations_stay(current, artifact_store)
        except MisconfiguredError as error:
            log.warning("the artifacts have changed and cannot be used, the old ones stay: %s", error)
            continue
        current.exchange(artifact_store)
        log.info(
            "artifacts loaded anew: %d, %d of them not seen before",
            len(artifact_store.artifacts),
            _new(artifact_store, known),
        )
        on_exchanged()


def remove_older(folder: Path, *, before: float) -> int:
    """Remove artifacts and profiles that were replaced before a time (seconds since the epoch); how many are gone.

    An artifact keeps its time of writing when it is put away, so the later of that and its entry's change counts. What
    a profile names again, as after a way back, stays.
    """
    try:
        named = {fingerprint[:_DIGITS] for fingerprint in named_artifacts(folder)}
    except MisconfiguredError as error:
        log.warning("nothing replaced is removed: %s", error)
        return 0
    gone = 0
    for path in folder.rglob(f"{OLDER_FOLDER}/*"):
        if path.suffix not in {SUFFIX, Path(PROFILE_FILE).suffix} or path.stem[-_DIGITS:] in named:
            continue
        try:
            told = path.stat()
            if max(told.st_mtime, told.st_ctime) < before:
                path.unlink()
                gone += 1
                log.info("replaced %s removed", path)
        except OSError as error:
            log.warning("replaced %s cannot be removed: %s", path, error.strerror)
    return gone


def _check_stations_stay(current: CurrentArtifacts, artifact_store: ArtifactStore) -> None:
    """A bad file never takes a station away from a running service: commissioning may be in the middle of its work."""
    for station in current.profiles.keys() - artifact_store.profiles.keys():
        for path, error in artifact_store.set_aside.items():
            if path.name == PROFILE_FILE and path.parent.parts[-3:] == tuple(station.split("/")):
                raise error


def _new(artifact_store: ArtifactStore, known: Mapping[str, StoredArtifact]) -> int:
    return sum(artifact.fingerprint not in known for artifact in artifact_store.artifacts)


def state_of(folder: Path) -> FolderState:
    """What changes when anything in a folder does."""
    found = set()
    for path in folder.rglob("*"):
        try:
            told = path.stat()
        except OSError:
            continue
        if path.is_file():
            found.add((str(path), told.st_mtime_ns, told.st_size))
    return frozenset(found)
