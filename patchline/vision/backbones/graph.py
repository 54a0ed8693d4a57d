"""Cutting an ONNX graph at the taps asked for, by the protobuf wire format alone.

The runtime executes every node of a model, also those that no output asked for needs. A model cut at its deepest tap
runs a quarter faster (MobileNetV2 at `features.13`), loads faster and keeps fewer weights in memory. Of ONNX only the
field numbers below matter, so no ONNX package is needed. Graphs inside nodes (`If`, `Loop`) are not looked into.
"""

from collections.abc import Iterable

from patchline.vision.backbones.protobuf import LENGTH, Field, fields_of, text, varint
from patchline.wire.errors import MisconfiguredError

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_OUTPUT, _GRAPH_VALUE_INFO = 1, 5, 12, 13
_NODE_INPUT, _NODE_OUTPUT = 1, 2
_TENSOR_NAME, _VALUE_NAME = 8, 1


def cut(model: bytes, taps: Iterable[str]) -> bytes:
    """The model with these taps as its only outputs, in this order, and only the nodes and weights they need.

    Raises:
        MisconfiguredError: It is not an ONNX model, or it has no such output.
    """
    try:
        fields = list(fields_of(memoryview(model)))
        graph = list(fields_of(next(field.body for field in fields if field.number == _MODEL_GRAPH)))
        kept = _cut_graph(graph, list(taps))
    except (IndexError, StopIteration, UnicodeDecodeError, ValueError) as error:
        raise MisconfiguredError("this is not an ONNX model", remedy="export or fetch the weights again") from error
    body = b"".join(field.whole for field in kept)
    header = b"".join(field.whole for field in fields if field.number != _MODEL_GRAPH)
    return header + varint(_MODEL_GRAPH << 3 | LENGTH) + varint(len(body)) + body


def outputs(model: bytes) -> tuple[str, ...]:
    """The names of a model's outputs.

    Raises:
        MisconfiguredError: It is not an ONNX model.
    """
    try:
        graph = next(field.body for field in fields_of(memoryview(model)) if field.number == _MODEL_GRAPH)
        return tuple(_name(field, _VALUE_NAME) for field in fields_of(graph) if field.number == _GRAPH_OUTPUT)
    except (IndexError, StopIteration, UnicodeDecodeError, ValueError) as error:
        raise MisconfiguredError("this is not an ONNX model", remedy="export or fetch the weights again") from error


def _cut_graph(graph: list[Field], taps: list[str]) -> list[Field]:
    declared = {_name(field, _VALUE_NAME): field for field in graph if field.number == _GRAPH_OUTPUT}
    missing = [tap for tap in taps if tap not in declared]
    if missing:
        raise MisconfiguredError(
            f"the model has no output {', '.join(map(repr, missing))}; it has {', '.join(declared)}", where="taps"
        )
    needed = set(taps)
    nodes: list[Field] = []
    for field in reversed([field for field in graph if field.number == _GRAPH_NODE]):  # ONNX sorts nodes by need
        parts = [part for part in fields_of(field.body) if part.number in {_NODE_INPUT, _NODE_OUTPUT}]
        if needed.isdisjoint(text(part) for part in parts if part.number == _NODE_OUTPUT):
            continue
        needed.update(text(part) for part in parts if part.number == _NODE_INPUT)
        nodes.append(field)
    weights = [field for field in graph if field.number == _GRAPH_INITIALIZER and _name(field, _TENSOR_NAME) in needed]
    dropped = {_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_OUTPUT, _GRAPH_VALUE_INFO}
    others = [field for field in graph if field.number not in dropped]
    return [*reversed(nodes), *others, *weights, *(declared[tap] for tap in taps)]


def _name(field: Field, number: int) -> str:
    return next(text(part) for part in fields_of(field.body) if part.number == number)
