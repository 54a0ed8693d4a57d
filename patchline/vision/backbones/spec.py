"""What is known of a backbone before its weights are at hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

from patchline.wire.errors import MisconfiguredError

INT8 = ":int8"
"""What a quantised backbone's name ends with."""


@dataclass(frozen=True)
class Tap:
    """A place in the network where feature maps can be taken.

    Attributes:
        channels: Of the feature map.
        stride: Pixels of the input per cell of the map, each way.
    """

    channels: int
    stride: int


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A published ONNX file: its name, digest, and the taps that are among its outputs."""

    name: str
    sha256: str
    taps: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Published weights from which ONNX files can be exported with the torch extra.

    Attributes:
        url: Where `weights fetch` downloads torchvision's own file.
        url_sha256_prefix: The first digits of that file's digest, as its publisher states them.
        files: Other safetensors files that were checked, under torchvision's parameter names: file name -> sha256.
    """

    url: str
    url_sha256_prefix: str
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def fetched_name(self) -> str:
        """What a fetched file is called in a folder of weights: as its publisher calls it, but safetensors."""
        return f"{PurePosixPath(self.url).stem}.safetensors"


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """A pretrained network: its taps, its files, and whose it is.

    Attributes:
        name: Its key in `BACKBONES`, in artifacts and on the command line.
        taps: Every tap that can be asked for, shallow to deep.
        default_taps: Those taken when none are named.
        files: Published ONNX files that are known by digest.
        checkpoint: Weights to export other taps from; None where the ONNX files are all there is.
        architecture: The torch module that carries the checkpoint; empty without one.
        packaged: Whether its file ships with patchline.
        licence: Of the weights.
    """

    name: str
    taps: Mapping[str, Tap]
    default_taps: tuple[str, ...]
    licence: str
    files: tuple[ModelFile, ...] = ()
    checkpoint: Checkpoint | None = None
    architecture: Literal["", "mobilenet_v2", "resnet18", "wide_resnet50_2"] = ""
    packaged: bool = False

    @property
    def quantised(self) -> bool:
        """Whether it computes in 8-bit integers."""
        return self.name.endswith(INT8)

    @property
    def stem(self) -> str:
        """What its files' names begin with."""
        return self.name.replace(":", "-")

    def ordered(self, taps: tuple[str, ...] | list[str] | None = None) -> tuple[str, ...]:
        """The taps asked for, shallow to deep and each once; the default ones where none are named.

        Raises:
            MisconfiguredError: The backbone has no such tap.
        """
        asked = tuple(taps) if taps else self.default_taps
        unknown = [tap for tap in asked if tap not in self.taps]
        if unknown:
            raise MisconfiguredError(
                f"backbone {self.name} has no tap {', '.join(map(repr, unknown))}",
                where="taps",
                remedy=f"choose among {', '.join(self.taps)}",
            )
        return tuple(tap for tap in self.taps if tap in asked)
