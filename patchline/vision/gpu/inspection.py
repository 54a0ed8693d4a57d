"""From pixels to scores without leaving the device: resize, normalise, backbone, embedding, search and map."""

# mypy: allow-untyped-calls

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from patchline.vision.backbones.torch_engine import TorchEngine
from patchline.vision.gpu.scores import TorchScores
from patchline.vision.pixels.arrays import Pixels, Size
from patchline.vision.pixels.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from patchline.wire.errors import MisconfiguredError

_WARM_UPS = 3


class TorchDetector(Protocol):
    """A detector of this room."""

    def search(self, maps: Mapping[str, Tensor]) -> TorchScores:
        """How far each patch, and each picture, is from normal."""
        ...

    def render(self, patch: Tensor, size: Size) -> Tensor:
        """Anomaly maps of a size."""
        ...


class Inspected(NamedTuple):
    """What is known of a batch.

    Attributes:
        maps: `(B, *size)` float32, on the device.
        scores: `(B,)` float32, on the device.
    """

    maps: Tensor
    scores: Tensor


class DeviceInspector:
    """A backbone and a detector as one.

    Args:
        engine: The backbone, with the taps that the detector was fitted on.
        detector: On the same device.
        size: What pictures are resized to, and the size of their maps.
        recorded: Whether the work is recorded as a CUDA graph at the first batch of each size, which saves what
            starting each step costs; only on a GPU. What `inspect` gave is then overwritten by its next call.
    """

    def __init__(self, engine: TorchEngine, detector: TorchDetector, *, size: Size, recorded: bool = False) -> None:
        self._engine, self._detector, self._size = engine, detector, size
        self._recorded = recorded and engine.device.type == "cuda"
        self._records: dict[tuple[int, ...], _Record] = {}

    def inspect(self, pixels: Pixels | Tensor) -> Inspected:
        """Maps and scores of decoded pictures, `(B, H, W, 3)` uint8, from the host or on the device.

        Raises:
            MisconfiguredError: The backbone cannot take pictures of that size, or the memory does not suffice.
        """
        batch = pixels if isinstance(pixels, Tensor) else torch.from_numpy(pixels)
        if not self._recorded:
            return self._inspect(batch.to(self._engine.device, non_blocking=True))
        shape = tuple(batch.shape)
        if shape not in self._records:
            self._records[shape] = _Record(self, batch)
        return self._records[shape].replay(batch)

    def inspect_each(self, batches: Iterable[Tensor]) -> Iterator[Inspected]:
        """As `inspect`, batch after batch; on a GPU the next batch travels there while this one is worked on.

        Args:
            batches: Pictures on the host, in pinned memory if they are to travel meanwhile.
        """
        uploads = self._uploaded(batches)
        upcoming = next(uploads, None)
        while upcoming is not None:
            batch, upcoming = upcoming, next(uploads, None)
            if batch.arrived is not None:
                stream = torch.cuda.current_stream(self._engine.device)
                stream.wait_event(batch.arrived)
                batch.pixels.record_stream(stream)
            yield self.inspect(batch.pixels)

    def _uploaded(self, batches: Iterable[Tensor]) -> Iterator["_Upload"]:
        device = self._engine.device
        if device.type != "cuda":
            yield from (_Upload(batch.to(device), None) for batch in batches)
            return
        aside = torch.cuda.Stream(device)
        for batch in batches:
            with torch.cuda.stream(aside):
                pixels, arrived = batch.to(device, non_blocking=True), torch.cuda.Event()
                arrived.record(aside)
            yield _Upload(pixels, arrived)

    def _inspect(self, batch: Tensor) -> Inspected:
        try:
            found = self._detector.search(self._engine.maps(normalised(batch, self._size, self._engine.dtype)))
            return Inspected(self._detector.render(found.patch, self._size), found.image)
        except torch.OutOfMemoryError as error:
            raise MisconfiguredError(
                f"the device's memory does not suffice for {len(batch)} pictures", remedy="choose a smaller batch"
            ) from error


class _Upload(NamedTuple):
    """Pictures on their way to the device, and what happens when they are there; None where they already are."""

    pixels: Tensor
    arrived: Any


class _Record:
    """The work on batches of one size as a CUDA graph."""

    def __init__(self, inspector: DeviceInspector, batch: Tensor) -> None:
        device = inspector._engine.device  # noqa: SLF001 - the record is a part of its inspector
        self._pixels = torch.zeros(batch.shape, dtype=torch.uint8, device=device)
        aside = torch.cuda.Stream(device)
        aside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):  # what is made once, and what a library measures first, must not be recorded
                inspector._inspect(self._pixels)  # noqa: SLF001
        torch.cuda.current_stream(device).wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._found = inspector._inspect(self._pixels)  # noqa: SLF001

    def replay(self, batch: Tensor) -> Inspected:
        """Maps and scores, in the graph's own memory."""
        self._pixels.copy_(batch, non_blocking=True)
        self._graph.replay()
        return self._found


def normalised(batch: Tensor, size: Size, dtype: torch.dtype) -> Tensor:
    """Pictures on a device as a backbone reads them.

    Args:
        batch: `(B, H, W, 3)` uint8.
        size: What they are resized to.
        dtype: Of what is returned.

    Returns:
        `(B, 3, *size)`, `(x / 255 - mean) / std`.
    """
    with torch.inference_mode():
        planes = batch.permute(0, 3, 1, 2)
        if tuple(planes.shape[2:]) != tuple(size):
            planes = resized(planes, size)
        scale, shift = _factors(batch.device)
        return torch.addcmul(shift, planes, scale).to(dtype)


def resized(planes: Tensor, size: Size) -> Tensor:
    """Pictures `(B, 3, H, W)` uint8 at another size by an antialiased bilinear filter, as float32 of whole numbers.

    Pillow's filter rounds once more between the axes, so the two may differ by a grey level.
    """
    found = functional.interpolate(planes.float(), size, mode="bilinear", antialias=True, align_corners=False)
    return found.round_().clamp_(0, 255)


@cache  # never forgotten: a recorded CUDA graph goes on reading it
def _factors(device: torch.device) -> tuple[Tensor, Tensor]:
    scale = [1 / (255 * std) for std in IMAGENET_STD]
    shift = [-mean / std for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)]
    scaling, shifting = (torch.tensor(each, device=device).reshape(1, 3, 1, 1) for each in (scale, shift))
    return scaling, shifting
