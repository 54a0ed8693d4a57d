"""Every artifact the service may be asked for, ready to judge, and the profiles that tell edges which to use.

The folder is what commission writes: `<site>/<line>/<station>/` with `profile.msgpack`, one artifact a codec, and
in `older/` those that parts still waiting in an outbox may name.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from patchline.artifacts.artifact import SUFFIX, Artifact, BackboneKey, load
from patchline.artifacts.assets import FOLDER, codec_asset
from patchline.artifacts.readers import FeatureReader, PictureReader, Reader
from patchline.artifacts.signatures import check_artifact, check_signed
from patchline.runtime.atomic_file import write_atomically
from patchline.runtime.signing import VerifyKey
from patchline.vision.backbones.engine import Engine
from patchline.vision.codecs.lookup import codec_of, is_feature_codec
from patchline.vision.detectors.protocol import Detector
from patchline.vision.scoring.calibration import Calibration
from patchline.wire.errors import MisconfiguredError, UnavailableError, UnreadableError
from patchline.wire.messages import MAX_PROFILE_BYTES, Profile, check_profile, sha256_of, unpack
from patchline.wire.topics import Station

PROFILE_FILE = "profile.msgpack"
OLDER_FOLDER = "older"


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """An artifact and what feeds it."""

    artifact: Artifact
    reader: Reader

    @property
    def fingerprint(self) -> str:
        """The sha256 of the artifact's file."""
        return self.artifact.fingerprint

    @property
    def codec(self) -> str:
        """Full name of the only codec whose payloads it judges."""
        return self.artifact.header.codec

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the pictures it judges."""
        return self.artifact.header.input_size

    @property
    def detector(self) -> Detector:
        """What scores the backbone's feature maps."""
        return self.artifact.detector

    @property
    def calibration(self) -> Calibration:
        """What turns the score into an outcome."""
        return self.artifact.calibration

    @property
    def map_range(self) -> tuple[float, float]:
        """Distances drawn as black and as white in an anomaly map."""
        return self.artifact.header.map_range

    @property
    def normal_quantiles(self) -> tuple[float, ...]:
        """What normal pictures scored at commissioning."""
        return self.artifact.header.normal_scores.quantiles

    def warm_up(self) -> None:
        """Judge a blank part, so that no part pays for what is set up at first use.

        Raises:
            MisconfiguredError: The detector was fitted on other feature maps than the reader gives.
        """
        maps = self.reader.embed([self.reader.blank()])
        scores = self.detector.search(self.detector.embed(maps))
        self.detector.render(scores, self.input_size)


class ArtifactStore:
    """The artifacts and profiles of a folder, all loaded and checked.

    Args:
        artifacts: What has been loaded, with its readers.
        profiles: One for each station served.
        assets: Folder of the files codecs need at the edge, each named by its sha256.
        set_aside: Files that cannot be used, and why.
    """

    def __init__(
        self,
        artifacts: Iterable[StoredArtifact],
        profiles: Iterable[Profile],
        assets: Path,
        set_aside: Mapping[Path, MisconfiguredError] = MappingProxyType({}),
    ) -> None:
        self.set_aside = set_aside
        self._artifacts = {artifact.fingerprint: artifact for artifact in artifacts}
        self.profiles = {profile.station: profile for profile in profiles}
        self._may_judge = {
            (artifact.artifact.header.station, artifact.fingerprint) for artifact in self._artifacts.values()
        } | {
            (profile.station, profile_codec.artifact)
            for profile in self.profiles.values()
            for profile_codec in profile.ladder
        }
        self._assets = assets

    @property
    def artifacts(self) -> tuple[StoredArtifact, ...]:
        """All of them, in the order in which they were found."""
        return tuple(self._artifacts.values())

    def find(self, station: Station, fingerprint: str) -> StoredArtifact | None:
        """The artifact of a fingerprint, if it was made for this station or the station's profile names it."""
        if (str(station), fingerprint) not in self._may_judge:
            return None
        return self._artifacts.get(fingerprint)

    def asset(self, sha256: str) -> Path | None:
        """The file of an asset that some profile offers, or None."""
        offered = any(
            asset.sha256 == sha256
            for profile in self.profiles.values()
            for profile_codec in profile.ladder
            for asset in profile_codec.assets
        )
        path = self._assets / sha256
        return path if offered and path.is_file() else None


def open_store(
    folder: Path,
    *,
    engine_for: Callable[[BackboneKey, Path], Engine],
    verify_key: VerifyKey | None = None,
    known: Mapping[str, StoredArtifact] = MappingProxyType({}),
) -> ArtifactStore:
    """Load every artifact and profile below a folder; a file that cannot be used is set aside, the others work.

    A profile that names an artifact which is not here, or was set aside, is set aside as well: its station is not
    served. That holds for damaged files, for unknown codecs, for missing or other backbones and fitted codecs, and for
    what is not signed as it should be.

    Args:
        folder: What `commission --out` named.
        engine_for: Gives the engine of a backbone, the same one for the same key; refuses one that is not here. The
            path is the artifact's, for the error message. Not asked for artifacts of feature codecs.
        verify_key: Whose owner must have signed every artifact, before it is decoded, and every profile.
        known: What has been loaded before, by fingerprint; it is used again.

    Raises:
        MisconfiguredError: There is no artifact, or no station is left that can be served.
    """
    files = sorted(folder.rglob(f"*{SUFFIX}"))
    if not files:
        raise MisconfiguredError(
            "there is no artifact to judge with",
            where=str(folder),
            remedy="run `patchline commission --out` with this folder first",
        )
    set_aside: dict[Path, MisconfiguredError] = {}
    stored: dict[str, StoredArtifact] = {}
    for path in files:
        try:
            artifact = known.get(_fingerprint(path)) if known else None
            artifact = artifact or _load(folder, path, engine_for, verify_key)
        except MisconfiguredError as error:
            set_aside[path] = error
        else:
            stored[artifact.fingerprint] = artifact
    profiles = []
    for path in sorted(folder.rglob(PROFILE_FILE)):
        try:
            profile = _read_profile(path, verify_key)
            _check_complete(profile, stored, folder)
        except MisconfiguredError as error:
            set_aside[path] = error
        else:
            profiles.append(profile)
    if set_aside and not profiles:
        raise next(iter(set_aside.values()))
    return ArtifactStore(stored.values(), profiles, folder / FOLDER, set_aside)


def _load(
    folder: Path, path: Path, engine_for: Callable[[BackboneKey, Path], Engine], verify_key: VerifyKey | None
) -> StoredArtifact:
    check = partial(check_artifact, folder, path, key=verify_key) if verify_key is not None else None
    artifact = load(path, check=check)
    return StoredArtifact(artifact, _reader(folder, artifact, path, engine_for))


def keep_older(path: Path) -> None:
    """Put an artifact that is about to be replaced where parts in an outbox that name it will find it.

    Raises:
        UnavailableError: The folder cannot be written.
    """
    try:
        if path.exists():
            older = path.parent / OLDER_FOLDER / f"{path.stem}-{sha256_of(path.read_bytes())[:12]}{SUFFIX}"
            older.parent.mkdir(exist_ok=True)
            path.replace(older)
    except OSError as error:
        raise UnavailableError(f"the older artifact {path} cannot be kept: {error.strerror}") from error


def replace_profile(path: Path, content: bytes) -> None:
    """Write a station's profile; the one before stays in `older/`, named by its digest, so that there is a way back.

    Raises:
        UnavailableError: The folder cannot be written.
    """
    try:
        before = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise UnavailableError(f"the profile {path} cannot be read: {error.strerror}") from error
    if before and before != content:
        write_atomically(path.parent / OLDER_FOLDER / f"{path.stem}-{sha256_of(before)[:12]}{path.suffix}", before)
    write_atomically(path, content)


def named_artifacts(folder: Path) -> set[str]:
    """The fingerprints that profiles in use name, wherever their artifacts lie.

    Raises:
        MisconfiguredError: A profile cannot be read.
    """
    profiles = (_read_profile(path, None) for path in folder.rglob(PROFILE_FILE))
    return {profile_codec.artifact for profile in profiles for profile_codec in profile.ladder}


def _fingerprint(path: Path) -> str:
    """The sha256 of a file; nothing's where it cannot be read, which loading it will tell in full."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _reader(folder: Path, artifact: Artifact, path: Path, engine_for: Callable[[BackboneKey, Path], Engine]) -> Reader:
    header = artifact.header
    if is_feature_codec(header.codec):
        return FeatureReader(codec_asset(folder, artifact, path).codec)
    try:
        codec = codec_of(header.codec)
    except MisconfiguredError as error:
        raise MisconfiguredError(
            f"the artifact's codec is unknown here: {error.what}", where=str(path), remedy=error.remedy
        ) from error
    return PictureReader(codec, header.input_size, engine_for(header.backbone, path))


def _read_profile(path: Path, verify_key: VerifyKey | None) -> Profile:
    try:
        profile: Profile = unpack(path.read_bytes(), Profile, limit=MAX_PROFILE_BYTES)
        check_profile(profile)
    except (OSError, UnreadableError) as error:
        raise MisconfiguredError(
            f"the profile is damaged: {error}", where=str(path), remedy="commission the station again"
        ) from error
    if verify_key is not None:
        check_signed(profile, path, verify_key)
    return profile


def _check_complete(profile: Profile, stored: Mapping[str, StoredArtifact], folder: Path) -> None:
    for profile_codec in profile.ladder:
        if profile_codec.artifact not in stored:
            raise MisconfiguredError(
                f"the profile of {profile.station} names artifact {profile_codec.artifact[:12]} for "
                f"{profile_codec.codec}, which is not here",
                where=str(folder),
                remedy="restore the file, or commission the station again",
            )
