"""Backbones in 8-bit integers, by static quantisation after training (analytics extra, for its `onnx` package).

Weights are quantised by output channel, activations asymmetrically to unsigned bytes between the least and the largest
value that normal pictures give (Jacob et al., CVPR 2018); entropy and percentile limits measured no better here. An
activation function between zero and a bound costs nothing: the limits of the bytes are its own. ONNX Runtime's signed
activations measured three times slower on x86 with VNNI; on ARM both run.

A network's first convolutions see few channels of very unequal spread, take most of the error and little of the time
(MobileNetV2: the worst tap's 0.27 falls to 0.11 with two of them left in float). So a few are left in float, as many
as the pictures ask for.
"""

import importlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from patchline.vision.backbones.graph import cut
from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.vision.pixels.arrays import FeatureMaps, Floats, Progress
from patchline.wire.errors import MisconfiguredError, missing_extra

MOST_FLOAT = 3
"""First convolutions left in float, at most."""
TOLERATED = 1.5
"""Fewer are left where the worst tap's error is within this factor of the least seen."""
_BATCH = 8
_TINY = 1e-30


class Quantised(msgspec.Struct, frozen=True, kw_only=True):
    """A backbone in 8-bit integers.

    Attributes:
        model: Of the ONNX file with quantising and dequantising nodes (QDQ).
        float_convolutions: How many of the first ones are left in float.
        worst_errors: For 0, 1, ... of them, the relative error of the worst tap, on the pictures it was calibrated on.
    """

    model: bytes
    float_convolutions: int
    worst_errors: tuple[float, ...]


def quantise(
    model: bytes,
    taps: Sequence[str],
    batch: Floats,
    *,
    reduce_range: bool = False,
    on_progress: Progress | None = None,
) -> Quantised:
    """Quantise a backbone, cut at the deepest tap asked for.

    Args:
        model: Of an ONNX file in float.
        taps: Outputs to keep.
        batch: Normalised pictures to calibrate on, `(B, 3, H, W)`.
        reduce_range: Weights of 7 bits, for x86 processors without VNNI, where sums of 8-bit products may overflow.
        on_progress: Called with the attempts done and in all.

    Raises:
        MisconfiguredError: The onnx package is missing, there is no picture, or the model cannot be quantised.
    """
    if not len(batch):
        raise MisconfiguredError("there is no picture to calibrate on", remedy="give a few dozen normal ones")
    exact = maps_of(OnnxEngine(model, taps), batch)
    models: list[bytes] = []
    with tempfile.TemporaryDirectory(prefix="patchline-") as folder:
        prepared = _prepared(cut(model, taps), Path(folder))
        for kept in range(MOST_FLOAT + 1):
            if on_progress is not None:
                on_progress(kept, MOST_FLOAT + 1)
            models.append(_attempt(prepared, Path(folder), batch, kept, reduce_range=reduce_range))
    errors = [max(relative_errors(exact, maps_of(OnnxEngine(tried, taps), batch)).values()) for tried in models]
    chosen = next(kept for kept, error in enumerate(errors) if error <= TOLERATED * min(errors))
    return Quantised(model=models[chosen], float_convolutions=chosen, worst_errors=tuple(errors))


def maps_of(engine: OnnxEngine, batch: Floats) -> FeatureMaps:
    """The feature maps of many pictures."""
    parts = [engine.run(batch[start : start + _BATCH]) for start in range(0, len(batch), _BATCH)]
    return {tap: np.concatenate([part[tap] for part in parts]) for tap in engine.taps}


def relative_errors(exact: FeatureMaps, found: FeatureMaps) -> dict[str, float]:
    """Tap -> root mean square of the difference, as a share of the exact features' spread around their channels' means.

    The spread, and not the features' own size: what a detector measures are distances between features.
    """
    errors = {}
    for tap, maps in exact.items():
        spread = float(np.linalg.norm(maps - maps.mean(axis=(0, 2, 3), keepdims=True)))
        errors[tap] = float(np.linalg.norm(found[tap] - maps)) / max(spread, _TINY)
    return errors


def _prepared(model: bytes, folder: Path) -> Path:
    """The model with everything folded that can be, and a name for each node, by which one is left out."""
    onnx, shapes = _import("onnx"), _import("onnxruntime.quantization.shape_inference")
    given, prepared = folder / "given.onnx", folder / "prepared.onnx"
    given.write_bytes(model)
    try:
        shapes.quant_pre_process(str(given), str(prepared), skip_symbolic_shape=True)
    except (RuntimeError, ValueError) as error:
        raise _cannot(error) from error
    network = onnx.load(str(prepared))
    for index, node in enumerate(network.graph.node):
        node.name = f"{node.op_type}_{index}"
    onnx.save(network, str(prepared))
    return prepared


def _attempt(prepared: Path, folder: Path, batch: Floats, kept: int, *, reduce_range: bool) -> bytes:
    onnx, quantization = _import("onnx"), _import("onnxruntime.quantization")
    graph = onnx.load(str(prepared)).graph
    convolutions = [node.name for node in graph.node if node.op_type == "Conv"]
    out = folder / "int8.onnx"
    try:
        quantization.quantize_static(
            str(prepared),
            str(out),
            _Reader(graph.input[0].name, batch),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.MinMax,
            nodes_to_exclude=convolutions[:kept],
        )
    except (RuntimeError, ValueError) as error:
        raise _cannot(error) from error
    return out.read_bytes()


class _Reader:
    """The pictures as ONNX Runtime's calibration asks for them: one feed after the other, then None."""

    def __init__(self, name: str, batch: Floats) -> None:
        self._feeds: Iterator[dict[str, Floats]] = iter([{name: batch[at : at + 1]} for at in range(len(batch))])

    def __iter__(self) -> Iterator[dict[str, Floats]]:
        return self._feeds

    def __next__(self) -> dict[str, Floats]:
        return next(self._feeds)

    def get_next(self) -> dict[str, Floats] | None:
        return next(self._feeds, None)


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing_extra("onnx", "analytics") from error


def _cannot(error: Exception) -> MisconfiguredError:
    return MisconfiguredError(
        f"this backbone cannot be quantised: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
        remedy="use it in float",
    )
