"""What commission leaves behind and the service judges with: one safetensors file, nothing of it executable.

The file holds the fitted detector's tensors and, in its metadata, one JSON header. Its fingerprint is the sha256 of
the file's bytes: profiles and frames name artifacts by it, and any change to the file makes another artifact.
"""

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from patchline.artifacts.choices import Choice
from patchline.runtime.atomic_file import write_atomically
from patchline.vision.detectors import detector_class
from patchline.vision.detectors.protocol import Detector
from patchline.vision.scoring.calibration import Calibration
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.messages import ShortText, sha256_of

FORMAT = 1
HEADER_KEY = "patchline.artifact"
SUFFIX = ".safetensors"
MAX_FILE_BYTES = 4 * 1024**3
MAX_HEADER_BYTES = 1024 * 1024

Side = Annotated[int, msgspec.Meta(ge=16, le=8192)]


class BackboneKey(msgspec.Struct, frozen=True):
    """Which feature maps a detector was fitted on: a backbone's weights, and the taps read from it."""

    name: ShortText
    sha256: ShortText
    taps: tuple[ShortText, ...]


class NormalScores(msgspec.Struct, frozen=True):
    """What normal pictures scored when the detector had not seen them; what a person compares a score with.

    Attributes:
        quantiles: At equal steps from the lowest to the highest, what drift is measured against; empty in artifacts of
            before.
    """

    images: int
    lowest: float
    median: float
    highest: float
    quantiles: tuple[float, ...] = ()


class ArtifactHeader(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about an artifact but its tensors.

    Attributes:
        codec: Full name of the codec whose decoded payloads the detector was fitted on.
        codec_asset: sha256 of the asset that holds this codec as it was fitted; empty for one that needs no fitting.
        input_size: Height and width of the pictures it judges.
        backbone: Whose feature maps the detector takes; run by the service, or at the edge for a feature codec.
        map_range: Distances drawn as black and as white in this artifact's anomaly maps.
        codec_choice: Why this codec was chosen among others, where it was.
        tuning: Why the detector's parameters are as they are, where they were tuned.
        input_tuning: Why the input size is what it is, where others were tried.
        created: Seconds since the epoch.
        versions: Versions of the programs that made it.
    """

    format: int = FORMAT
    station: ShortText
    codec: ShortText
    codec_asset: ShortText = ""
    input_size: tuple[Side, Side]
    backbone: BackboneKey
    detector: ShortText
    parameters: dict[str, Any]
    calibration: Calibration
    normal_scores: NormalScores
    map_range: tuple[float, float]
    codec_choice: Choice | None = None
    tuning: Choice | None = None
    input_tuning: Choice | None = None
    seed: int
    created: float
    versions: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Artifact:
    """A fitted detector and all it takes to use it rightly."""

    header: ArtifactHeader
    detector: Detector
    fingerprint: str
    size_bytes: int

    @property
    def calibration(self) -> Calibration:
        """What turns this artifact's scores into outcomes."""
        return self.header.calibration


def save(path: Path, header: ArtifactHeader, detector: Detector) -> Artifact:
    """Write an artifact, whole or not at all.

    Raises:
        UnavailableError: The folder cannot be written.
    """
    metadata = {HEADER_KEY: msgspec.json.encode(header).decode()}
    content = save_tensors(detector.tensors(), metadata=metadata)
    write_atomically(path, content)
    return Artifact(header, detector, sha256_of(content), len(content))


def load(path: Path, *, check: Callable[[str], None] | None = None) -> Artifact:
    """Read an artifact.

    Args:
        path: Its file.
        check: Told the file's sha256 before anything in it is looked at; refuses what it does not trust.

    Raises:
        MisconfiguredError: The file is missing, too large, truncated, of another format or for an unknown detector.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _refused(path, f"the artifact is larger than {MAX_FILE_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise _refused(path, f"the artifact cannot be read: {error.strerror}") from error
    fingerprint = sha256_of(content)
    if check is not None:
        check(fingerprint)
    _check_header_length(content, path)
    try:
        tensors = load_tensors(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise _refused(path, f"the artifact is damaged: {error}") from error
    header = _header_of(content, path)
    try:
        detector = detector_class(header.detector).restore(tensors, header.parameters)
    except MisconfiguredError as error:
        raise _refused(path, f"the artifact's detector cannot be restored: {error.what}") from error
    return Artifact(header, detector, fingerprint, len(content))


def look_at_folder(folder: Path) -> None:
    """Make sure that a folder can be written or made, before long work whose outcome goes there; nothing is made.

    Raises:
        MisconfiguredError: A file is in its place, or above it.
        UnavailableError: It may not be written.
    """
    place = next(above for above in (folder.absolute(), *folder.absolute().parents) if above.exists())
    if not place.is_dir():
        raise MisconfiguredError(f"{place} is a file, not a folder", where=str(folder), remedy="name another folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UnavailableError(
            f"{folder} cannot be written: no permission, or the disk is read-only; name another folder"
        )


def _check_header_length(content: bytes, path: Path) -> None:
    """The library takes headers of up to 100 MB of JSON; ours have a few kilobytes."""
    if int.from_bytes(content[:8], "little") > MAX_HEADER_BYTES:
        raise _refused(path, "the artifact's header is too long, or the file is no artifact")


def _header_of(content: bytes, path: Path) -> ArtifactHeader:
    # The safetensors library gives metadata only of files it opens itself; these bytes have been read and hashed once.
    (length,) = struct.unpack_from("<Q", content)
    try:
        metadata = msgspec.json.decode(content[8 : 8 + length], type=dict[str, Any]).get("__metadata__", {})
        text = metadata.get(HEADER_KEY)
        if text is None:
            raise _refused(path, "the file is a safetensors file, but not an artifact of patchline")
        header = msgspec.json.decode(text, type=ArtifactHeader)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _refused(path, f"the artifact's header cannot be read: {error}") from error
    if header.format != FORMAT:
        raise _refused(path, f"the artifact has format {header.format}, this version reads {FORMAT}")
    return header


def _refused(path: Path, what: str) -> MisconfiguredError:
    return MisconfiguredError(what, where=str(path), remedy="commission the station again, or restore the file")
