"""Backbones on a device, without the rooms that need more than torch and numpy."""

# mypy: allow-untyped-calls

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import torch

from patchline.vision.backbones import BACKBONES, torch_export
from patchline.vision.backbones.onnx_network import OnnxNetwork
from patchline.vision.backbones.spec import BackboneSpec
from patchline.vision.backbones.torch_engine import Precision, TorchEngine
from patchline.wire.errors import MisconfiguredError

VARIABLE = "PATCHLINE_WEIGHTS"
_PACKAGED = Path(torch_export.__file__).parent / "packaged"


class Contestant(NamedTuple):
    """A backbone.

    Attributes:
        label: Its name in tables; tells where its weights are random.
        engine: It, on its device.
        compiled: Whether torch compiles it, and the detectors behind it.
    """

    label: str
    engine: TorchEngine
    compiled: bool


def contestant(name: str, *, device: str, precision: Precision, compiled: bool, seed: int) -> Contestant:
    """A backbone by name, at its default taps; one that has no published file gets random weights.

    Raises:
        MisconfiguredError: There is no such backbone, its file is not here or is another one, or the device is not.
    """
    if name not in BACKBONES:
        raise MisconfiguredError(f"no backbone is called {name!r}", remedy=f"use some of: {', '.join(BACKBONES)}")
    spec = BACKBONES[name]
    if spec.files:
        network: torch.nn.Module = OnnxNetwork(_model(spec), spec.default_taps)
        label = name
    else:
        torch.manual_seed(seed)
        network, label = torch_export.build(spec, None, spec.default_taps), f"{name} (random weights)"
    engine = TorchEngine(network, spec.default_taps, device=device, precision=precision, compiled=compiled)
    return Contestant(label, engine, compiled)


def _model(spec: BackboneSpec) -> bytes:
    named = [Path(part).expanduser() for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    file = next(file for file in spec.files if set(spec.default_taps) <= set(file.taps))
    for folder in (*named, _PACKAGED):
        path = folder / file.name
        if path.is_file():
            model = path.read_bytes()
            if hashlib.sha256(model).hexdigest() != file.sha256:
                raise MisconfiguredError(
                    f"this is not the {spec.name} it should be", where=str(path), remedy="fetch or export it again"
                )
            return model
    raise MisconfiguredError(
        f"{file.name} was not found", remedy=f"point {VARIABLE} at its folder, or leave {spec.name} out of --backbones"
    )
