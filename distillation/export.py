"""From a trained student to the file that ships: ONNX, weights kept in float16, computed in float32."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from distillation.student import Student
from distillation.teacher import TAPS

OPSET = 17


def to_onnx(student: Student, scales: Mapping[str, NDArray[np.float32]], *, notes: Mapping[str, object]) -> bytes:
    """The student as an ONNX model: input `input` (N, 3, H, W) float32, one output a tap, named `stride8`, `stride16`.

    Args:
        student: Trained; its branches are folded here.
        scales: Tap -> what to multiply each channel of its map with.
        notes: Where it comes from, kept in the model's metadata as JSON.
    """
    plain = student.plain([torch.from_numpy(scales[tap.student]) for tap in TAPS]).to(
        memory_format=torch.contiguous_format
    )
    model = traced(plain, {tap.student: tap.stride for tap in TAPS})
    _store_half(model)
    helper.set_model_props(model, {"patchline": json.dumps(notes, sort_keys=True)})
    model.producer_name, model.producer_version = "patchline distillation", ""
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def traced(network: torch.nn.Module, taps: Mapping[str, int]) -> onnx.ModelProto:
    """A network as ONNX with free numbers and sizes of pictures; `taps` names its outputs and their strides."""
    free = {"input": {0: "pictures", 2: "height", 3: "width"}}
    free |= {tap: {0: "pictures", 2: f"height{stride}", 3: f"width{stride}"} for tap, stride in taps.items()}
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)  # the exporter by tracing; the new one needs onnxscript
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, 224, 224),),
            buffer,
            dynamo=False,
            opset_version=OPSET,
            input_names=["input"],
            output_names=list(taps),
            dynamic_axes=free,
        )
    return onnx.load_from_string(buffer.getvalue())


def _store_half(model: onnx.ModelProto) -> None:
    """Keep every weight as float16 with a Cast behind it; ONNX Runtime folds the casts once, at loading."""
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT:
            continue
        name = weight.name
        half = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{name}.half")
        weight.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
