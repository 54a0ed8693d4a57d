"""Where the weights are: the folders of PATCHLINE_WEIGHTS, then the user's cache, then what is packaged.

A model file is known by its sha256: one of the digests in its backbone's spec, or the one in the sidecar that an
export of our own leaves beside it (`FILE.onnx.json`). Any other file is refused by name.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from patchline.runtime.atomic_file import write_atomically
from patchline.vision.backbones.graph import can_cut, cut
from patchline.vision.backbones.spec import INT8, BackboneSpec
from patchline.wire.errors import MisconfiguredError, UnavailableError

PACKAGED = Path(__file__).parent / "packaged"
VARIABLE = "PATCHLINE_WEIGHTS"
SIDECAR = ".json"


class Sidecar(msgspec.Struct, frozen=True, kw_only=True):
    """What an export leaves beside its ONNX file.

    Attributes:
        backbone: Name of the spec it belongs to.
        taps: The outputs of the file.
        sha256: Of the file.
        checkpoint_sha256: Of the weights it was exported from; of a quantised one, of the model with float weights.
    """

    backbone: str
    taps: tuple[str, ...]
    sha256: str
    checkpoint_sha256: str


class StoredBackbone(msgspec.Struct, frozen=True):
    """A model file that was found and checked.

    Attributes:
        path: Of the ONNX file.
        sha256: Its digest, the identity of the backbone in artifacts and profiles.
        taps: Those it gives.
    """

    path: Path
    sha256: str
    taps: tuple[str, ...]

    def read(self) -> bytes:
        """The file's bytes.

        Raises:
            MisconfiguredError: It is gone or was changed since it was found.
        """
        model = _read(self.path)
        if hashlib.sha256(model).hexdigest() == self.sha256:
            return model
        raise MisconfiguredError(
            "the backbone's file was changed while in use", where=str(self.path), remedy="start again"
        )

    def read_cut(self, taps: Sequence[str]) -> bytes:
        """The file's bytes, cut at these taps where it has others too.

        Without the `onnx` package the whole file is given, which only takes longer to run. It raises what `read` does.
        """
        model = self.read()
        return model if set(taps) == set(self.taps) or not can_cut() else cut(model, taps)


def cache_folder() -> Path:
    """The user's own folder of weights: `$XDG_CACHE_HOME/patchline/weights`, by default under `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "patchline" / "weights"


def folders() -> list[Path]:
    """Every folder in which weights are looked for, in order."""
    named = [Path(part).expanduser() for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    return [*named, cache_folder(), PACKAGED]


def find(spec: BackboneSpec, taps: Sequence[str] | None = None) -> StoredBackbone:
    """The first model file of a backbone that gives the taps asked for.

    Args:
        spec: The backbone.
        taps: Its default ones where none are named.

    Raises:
        MisconfiguredError: There is none, or one of its name is not the file it should be; names the places tried.
    """
    asked = set(spec.ordered(tuple(taps) if taps else None))
    for folder in folders():
        for path, file_taps, sha256 in candidates(spec, folder):
            if not asked <= set(file_taps):
                continue
            _check(spec, path, sha256)
            return StoredBackbone(path, sha256, file_taps)
    raise _not_found(spec, asked)


def find_by_sha256(spec: BackboneSpec, sha256: str) -> StoredBackbone | None:
    """The model file of a backbone with this digest, or None where no folder has it."""
    for folder in folders():
        for path, file_taps, expected in candidates(spec, folder):
            if expected == sha256 and _digest(path) == sha256:
                return StoredBackbone(path, sha256, file_taps)
    return None


def find_checkpoint(spec: BackboneSpec) -> Path:
    """The file of weights from which a backbone's ONNX files are exported.

    Raises:
        MisconfiguredError: The backbone has none, no folder has it, or one has another file of its name.
    """
    if spec.checkpoint is None:
        raise MisconfiguredError(
            f"{spec.name} has no weights to export from", remedy=f"use the taps of {_file_names(spec)}"
        )
    known = spec.checkpoint.files
    for folder in folders():
        for name in (*known, spec.checkpoint.fetched_name):
            path = folder / name
            if path.is_file():
                _check(spec, path, known.get(name))
                return path
    raise MisconfiguredError(
        f"no weights of {spec.name} to export from were found",
        where=_places(),
        remedy=_fetch_remedy(spec),
    )


def candidates(spec: BackboneSpec, folder: Path) -> Iterator[tuple[Path, tuple[str, ...], str]]:
    """The model files in a folder that claim to be this backbone: path, taps, and the sha256 they must have."""
    for file in spec.files:
        path = folder / file.name
        if path.is_file():
            yield path, file.taps, file.sha256
    for note in sorted(folder.glob(f"{spec.stem}*.onnx{SIDECAR}")):
        try:
            sidecar = msgspec.json.decode(_read(note), type=Sidecar)
        except (msgspec.MsgspecError, ValueError) as error:
            raise MisconfiguredError(
                f"this note of an exported backbone cannot be read: {error}", where=str(note), remedy="export it again"
            ) from error
        path = note.with_name(note.name.removesuffix(SIDECAR))
        if sidecar.backbone == spec.name and path.is_file():
            yield path, sidecar.taps, sidecar.sha256


def save_export(model: bytes, spec: BackboneSpec, taps: Sequence[str], *, checkpoint: Path, folder: Path) -> Path:
    """Write an exported model and the sidecar by which `find` knows it; returns the model's path.

    The checkpoint is the file that the model was made from.

    Raises:
        MisconfiguredError: The folder cannot be written to.
    """
    path = folder / export_name(spec, taps)
    sidecar = Sidecar(
        backbone=spec.name,
        taps=tuple(taps),
        sha256=hashlib.sha256(model).hexdigest(),
        checkpoint_sha256=_digest(checkpoint),
    )
    write(path, model)
    write(path.with_name(path.name + SIDECAR), msgspec.json.format(msgspec.json.encode(sidecar)) + b"\n")
    return path


def export_name(spec: BackboneSpec, taps: Sequence[str]) -> str:
    """The file name of an export: it tells the taps, or that it has all of them."""
    label = "all" if set(taps) == set(spec.taps) else "+".join(taps)
    return f"{spec.stem}.{label}.onnx"


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, with the folders above it.

    Raises:
        MisconfiguredError: It cannot be written there.
    """
    try:
        write_atomically(path, content)
    except UnavailableError as error:
        raise MisconfiguredError(str(error), where=str(path), remedy="choose another folder") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MisconfiguredError(
            f"the file cannot be read: {error.strerror}", where=str(path), remedy="check the file and its permissions"
        ) from error


def _digest(path: Path) -> str:
    return hashlib.sha256(_read(path)).hexdigest()


def _check(spec: BackboneSpec, path: Path, sha256: str | None) -> None:
    """Make sure a file is what it should be; one that was fetched was checked then, and has no digest of its own."""
    if sha256 is not None and (found := _digest(path)) != sha256:
        raise MisconfiguredError(
            f"this is not the {spec.name} it should be: its sha256 is {found[:12]}, not {sha256[:12]}",
            where=str(path),
            remedy="remove it, or fetch or export it again",
        )


def _places() -> str:
    return "looked in " + ", ".join(map(str, folders()))


def _file_names(spec: BackboneSpec) -> str:
    return ", ".join(file.name for file in spec.files)


def _fetch_remedy(spec: BackboneSpec) -> str:
    return f"point {VARIABLE} at a folder that has it, or run: patchline weights fetch {spec.name}"


def _not_found(spec: BackboneSpec, asked: set[str]) -> MisconfiguredError:
    taps = ",".join(tap for tap in spec.taps if tap in asked)
    remedy = f"point {VARIABLE} at a folder that has one"
    if spec.quantised:
        made = f"patchline weights quantise {spec.name.removesuffix(INT8)} --taps {taps} --data GOOD_PICTURES"
        remedy += f", or run: {made}"
    elif spec.packaged:
        remedy = "it comes with patchline: install it again"
    elif spec.checkpoint is not None:
        remedy += f", or run: patchline weights fetch {spec.name}"
        if spec.checkpoint.files:
            remedy += f" (or, from weights you have: patchline weights export {spec.name} --taps {taps})"
    return MisconfiguredError(
        f"no file of backbone {spec.name} with the taps {taps} was found", where=_places(), remedy=remedy
    )
