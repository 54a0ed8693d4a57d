"""Published weights to ONNX files with any taps (torch extra). Slow and rare, so torch is imported only when asked."""

import importlib
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from patchline.vision.backbones.spec import BackboneSpec
from patchline.wire.errors import MisconfiguredError, missing_extra

if TYPE_CHECKING:
    from torch import nn

OPSET = 17
_TRACED_SIZE = 64


def export(spec: BackboneSpec, weights: Mapping[str, NDArray[Any]], taps: Sequence[str]) -> bytes:
    """An ONNX model of a backbone, cut at the deepest tap, with dynamic batch, height and width.

    Args:
        spec: The backbone.
        weights: torchvision's parameter names -> arrays. What lies beyond the deepest tap may be missing.
        taps: Outputs of the model.

    Returns:
        The model, opset 17: input `input`, `(N, 3, H, W)` float32, and one output a tap.

    Raises:
        MisconfiguredError: The torch extra is missing, the backbone cannot be exported, or the weights are not its.
    """
    torch = _torch()
    trunk = build(spec, weights, taps)
    axes = {"input": {0: "N", 2: "H", 3: "W"}, **{tap: {0: "N", 2: f"h_{tap}", 3: f"w_{tap}"} for tap in taps}}
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch prefers its newer exporter, which needs onnxscript
        torch.onnx.export(
            trunk,
            (torch.zeros(1, 3, _TRACED_SIZE, _TRACED_SIZE),),
            stream,
            input_names=["input"],
            output_names=list(taps),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    return stream.getvalue()


def build(spec: BackboneSpec, weights: Mapping[str, NDArray[Any]] | None, taps: Sequence[str]) -> "nn.Module":
    """The backbone as a torch module that gives a tuple of taps, in inference mode.

    Args:
        spec: The backbone.
        weights: As for `export`; None leaves them random, for measurements of speed only.
        taps: What it gives.

    Raises:
        MisconfiguredError: The torch extra is missing, the backbone has no torch module, or the weights are not its.
    """
    torch = _torch()
    models = importlib.import_module("patchline.vision.backbones.torch_models")
    if spec.architecture not in models.ARCHITECTURES:
        raise MisconfiguredError(
            f"{spec.name} comes as ONNX files only, nothing can be exported",
            remedy=f"choose one of {', '.join(models.ARCHITECTURES)}",
        )
    network = models.ARCHITECTURES[spec.architecture]()
    trunk = models.Trunk(network, taps)
    if weights is not None:
        state = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        _load(spec, network, trunk, state)
    trunk.eval()
    built: nn.Module = trunk
    return built


def _load(spec: BackboneSpec, network: Any, trunk: Any, state: dict[str, Any]) -> None:
    """Load strictly, but for what the trunk does not reach: trunks of a network are published without their end."""
    try:
        result = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise MisconfiguredError(
            f"these are not the weights of {spec.name}: {str(error).splitlines()[-1].strip()}",
            remedy=f"run: patchline weights fetch {spec.name}",
        ) from error
    reached = {id(tensor) for tensor in (*trunk.parameters(), *trunk.buffers())}
    named = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    missing = [name for name in result.missing_keys if id(named[name]) in reached]
    if missing or result.unexpected_keys:
        names = ", ".join([*missing, *result.unexpected_keys][:3])
        raise MisconfiguredError(
            f"these are not the weights of {spec.name}: {names} is missing or unknown",
            remedy=f"run: patchline weights fetch {spec.name}",
        )


def _torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise missing_extra("torch", "torch") from error
