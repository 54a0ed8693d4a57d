"""The files codecs need at the edge: one folder below the artifacts, every file named by its own sha256."""

from pathlib import Path

from patchline.artifacts.artifact import Artifact
from patchline.runtime.atomic_file import write_atomically
from patchline.vision.codecs.features.asset import CodecAsset, open_asset
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import AssetReference, sha256_of

FOLDER = "assets"
CODEC = "codec"
BACKBONE = "backbone"
"""The names under which a profile's codec refers to its codec's file and its backbone's."""

_REMEDY = "restore the file, or commission the station again"


def keep(out: Path, name: str, content: bytes) -> AssetReference:
    """Keep an asset below a folder of artifacts, and say how a profile refers to it.

    Raises:
        UnavailableError: The folder cannot be written.
    """
    reference = AssetReference(name=name, sha256=sha256_of(content), size=len(content))
    write_atomically(out / FOLDER / reference.sha256, content)
    return reference


def codec_asset(out: Path, artifact: Artifact, path: Path) -> CodecAsset:
    """The fitted codec whose payloads an artifact judges.

    Args:
        out: The folder of all artifacts.
        artifact: One that was made for a feature codec.
        path: The artifact's file, for the error.

    Raises:
        MisconfiguredError: The codec's file is missing, damaged, or does not belong to the artifact.
    """
    header = artifact.header
    file = out / FOLDER / header.codec_asset
    try:
        content = file.read_bytes()
    except OSError as error:
        raise MisconfiguredError(
            f"the fitted codec {header.codec} of the artifact {path} cannot be read: {error.strerror}",
            where=str(file),
            remedy=_REMEDY,
        ) from error
    if sha256_of(content) != header.codec_asset:
        raise MisconfiguredError(
            f"the fitted codec {header.codec} of the artifact {path} is damaged: its sha256 is "
            f"{sha256_of(content)[:12]}, not {header.codec_asset[:12]}",
            where=str(file),
            remedy=_REMEDY,
        )
    try:
        asset = open_asset(content)
    except MisconfiguredError as error:
        raise MisconfiguredError(
            f"the fitted codec {header.codec} of the artifact {path} cannot be used: {error.what}",
            where=str(file),
            remedy=error.remedy or _REMEDY,
        ) from error
    made_for = (header.codec, header.backbone.sha256, header.backbone.taps, header.input_size)
    found = (asset.name, asset.backbone_sha256, asset.taps, asset.input_size)
    if found != made_for:
        raise MisconfiguredError(
            f"the fitted codec is not the artifact's: it is {_told(*found)}, the artifact needs {_told(*made_for)}",
            where=f"{file}, {path}",
            remedy=_REMEDY,
        )
    return asset


def _told(name: str, backbone_sha256: str, taps: tuple[str, ...], size: tuple[int, int]) -> str:
    return f"{name} on {backbone_sha256[:12]} at {', '.join(taps)} for {size[0]}x{size[1]}"
