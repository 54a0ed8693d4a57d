"""torchvision's published weights into the user's cache: only when asked for by name (torch extra)."""

import hashlib
import importlib
import io
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from patchline.vision.backbones import store
from patchline.vision.backbones.spec import BackboneSpec
from patchline.vision.pixels.arrays import Progress
from patchline.wire.errors import MisconfiguredError, UnavailableError, missing_extra

_BLOCK_BYTES = 1 << 20
_LIMIT_BYTES = 1 << 30
_TIMEOUT_SECONDS = 60.0


def fetch(
    spec: BackboneSpec, folder: Path, *, url: str = "", sha256_prefix: str = "", on_progress: Progress | None = None
) -> Path:
    """Download a backbone's weights, check them, and keep them as safetensors.

    Args:
        spec: The backbone.
        folder: Where to keep them.
        url: Another place for the same file, a mirror inside a factory for instance.
        sha256_prefix: First digits of that file's sha256, where it is not torchvision's own.
        on_progress: Called with bytes had and bytes in all (0 where the server does not say).

    Returns:
        The safetensors file's path.

    Raises:
        MisconfiguredError: There is nothing to download, the file is not the published one, or torch is missing.
        UnavailableError: The server is away or stopped in the middle.
    """
    checkpoint = spec.checkpoint
    if checkpoint is None:
        raise MisconfiguredError(
            f"{spec.name} is not offered for download",
            remedy=f"put its file in a folder of your own and point {store.VARIABLE} at it",
        )
    torch = _torch()
    source = url or checkpoint.url
    content = _download(source, on_progress)
    digest = hashlib.sha256(content).hexdigest()
    expected = sha256_prefix or checkpoint.url_sha256_prefix
    if not digest.startswith(expected):
        raise MisconfiguredError(
            f"the download's sha256 is {digest}, and should begin with {expected}",
            where=source,
            remedy="nothing was kept; try again, or another mirror",
        )
    path = folder / checkpoint.fetched_name
    store.write(
        path, safetensors.numpy.save(_arrays(torch, content, source), metadata={"source": source, "sha256": digest})
    )
    return path


def read_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file.

    Raises:
        MisconfiguredError: It cannot be read.
    """
    try:
        arrays: dict[str, NDArray[Any]] = safetensors.numpy.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise MisconfiguredError(
            f"the weights cannot be read: {error}", where=str(path), remedy="fetch them again"
        ) from error
    return arrays


def _download(url: str, on_progress: Progress | None) -> bytes:
    if not url.startswith(("https://", "http://")):
        raise MisconfiguredError("weights are fetched by http or https only", where=url, remedy="give another address")
    content = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310 - the scheme is checked
            total = int(response.headers.get("Content-Length") or 0)
            while block := response.read(_BLOCK_BYTES):
                content += block
                if len(content) > _LIMIT_BYTES:
                    raise MisconfiguredError(
                        f"the download is over {_LIMIT_BYTES} bytes", where=url, remedy="check the address"
                    )
                if on_progress is not None:
                    on_progress(len(content), total)
    except (urllib.error.URLError, OSError, ValueError) as error:
        why = getattr(error, "reason", None) or error
        raise UnavailableError(
            f"the weights cannot be downloaded from {url}: {why}; name a mirror with --url, or take a file from another"
            f" machine into a folder of {store.VARIABLE}"
        ) from error
    if total and len(content) != total:
        raise UnavailableError(f"the download from {url} ended after {len(content)} of {total} bytes")
    return bytes(content)


def _torch() -> Any:
    """What reads the file; looked for before hundreds of megabytes are downloaded."""
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise missing_extra("torch", "torch") from error


def _arrays(torch: Any, content: bytes, source: str) -> Mapping[str, NDArray[Any]]:
    """The tensors of a torch file, read without running anything in it (`weights_only`)."""
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in state.items()}
    except (
        RuntimeError,
        ValueError,
        AttributeError,
        EOFError,
        UnpicklingError,
    ) as error:
        raise MisconfiguredError(
            f"the download is not a file of weights: {error}", where=source, remedy="check the address"
        ) from error
