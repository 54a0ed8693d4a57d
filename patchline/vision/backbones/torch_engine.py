"""Backbones in torch (torch extra): on a GPU, where feature maps then stay, or on a CPU.

Half precision halves what moves through memory, which is what a backbone waits for on a GPU; `float32` is exact
arithmetic there too, `tf32` rounds the factors of products to 10 bits of mantissa.
"""

# mypy: allow-untyped-calls

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from patchline.vision.backbones.onnx_network import OnnxNetwork
from patchline.vision.pixels.arrays import FeatureMaps, Floats, Size
from patchline.wire.errors import MisconfiguredError

Precision: TypeAlias = Literal["float32", "tf32", "float16", "bfloat16"]

DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
"""Precision -> what feature maps and weights are kept in."""


class TorchEngine:
    """A backbone on a device.

    Args:
        network: Gives a tuple of one map a tap for a batch; it is moved to the device.
        taps: Their names.
        device: `cpu`, `cuda` or `cuda:1`.
        precision: Of weights, maps and products.
        compiled: Whether torch compiles the network first, which takes a minute and fuses what is between products.

    Raises:
        MisconfiguredError: There is no such device here, or no such precision.
    """

    def __init__(
        self,
        network: nn.Module,
        taps: Sequence[str],
        *,
        device: str = "cpu",
        precision: Precision = "float32",
        compiled: bool = False,
    ) -> None:
        self.device, self.precision = device_of(device), precision
        self.dtype = dtype_of(precision)
        self._taps = tuple(taps)
        network = network.eval().to(self.device, self.dtype, memory_format=torch.channels_last)
        self._network = torch.compile(network) if compiled else network

    @classmethod
    def of_model(
        cls, model: bytes, taps: Sequence[str], *, device: str = "cpu", precision: Precision = "float32"
    ) -> "TorchEngine":
        """The engine of an ONNX file's bytes.

        Raises:
            MisconfiguredError: As the constructor, or the file is not a model that torch can run.
        """
        return cls(OnnxNetwork(model, taps), taps, device=device, precision=precision)

    @property
    def taps(self) -> tuple[str, ...]:
        """The taps it gives, in the order in which `run` gives them."""
        return self._taps

    def maps(self, batch: Tensor) -> dict[str, Tensor]:
        """The feature maps of a batch of normalised pictures, `(B, 3, H, W)`, both on the engine's device.

        Raises:
            MisconfiguredError: The network cannot take pictures of that size, or the device's memory is used up.
        """
        try:
            with torch.inference_mode(), arithmetic(self.precision):
                batch = batch.to(self.dtype, memory_format=torch.channels_last)
                return dict(zip(self._taps, self._network(batch), strict=True))
        except RuntimeError as error:
            raise MisconfiguredError(
                f"the backbone cannot run on input of shape {tuple(batch.shape)}: {str(error).splitlines()[0]}",
                where=str(self.device),
                remedy="choose another input size or a smaller batch",
            ) from error

    def run(self, batch: Floats) -> FeatureMaps:
        """The feature maps of a batch of normalised pictures, `(B, 3, H, W)` float32, as arrays.

        Raises:
            MisconfiguredError: As `maps`.
        """
        maps = self.maps(torch.from_numpy(batch).to(self.device))
        return {tap: tensor.float().contiguous().cpu().numpy() for tap, tensor in maps.items()}

    def warm_up(self, size: Size, batch_size: int = 1) -> None:
        """Run once on a blank batch, so that the first real one does not pay for what the device sets up.

        Raises:
            MisconfiguredError: As `maps`.
        """
        self.run(np.zeros((batch_size, 3, *size), dtype=np.float32))


def device_of(name: str) -> torch.device:
    """A device by name.

    Raises:
        MisconfiguredError: There is no such device here.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        raise MisconfiguredError(
            f"torch cannot use the device {name!r}: {str(error).splitlines()[0]}", remedy="use the device cpu"
        ) from error
    return device


def dtype_of(precision: str) -> torch.dtype:
    """What numbers of a precision are kept in.

    Raises:
        MisconfiguredError: There is no such precision.
    """
    if precision not in DTYPES:
        raise MisconfiguredError(f"there is no precision {precision!r}", remedy=f"choose one of {', '.join(DTYPES)}")
    return DTYPES[precision]


@contextmanager
def arithmetic(precision: Precision) -> Iterator[None]:
    """Products as the precision says, for the time being: torch's own defaults differ between layers and matrices."""
    rounded = precision != "float32"
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = rounded
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=rounded):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
