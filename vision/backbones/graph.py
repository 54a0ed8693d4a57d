"""Cutting an ONNX graph at the taps asked for, by the protobuf wire format alone.

The runtime executes every node of a model, also those that no output asked for needs. A model cut at its deepest tap
runs a quarter faster (MobileNetV2 at `features.13`), loads faster and keeps fewer weights in memory. Of ONNX only the
field numbers below matter, so no ONNX package is needed. Graphs inside nodes (`If`, `Loop`) are not looked into.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from wire_contract.errors import MisconfiguredError

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_OUTPUT, _GRAPH_VALUE_INFO = 1, 5, 12, 13
_NODE_INPUT, _NODE_OUTPUT = 1, 2
_TENSOR_NAME, _VALUE_NAME = 8, 1
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class _Field(NamedTuple):
    number: int
    body: memoryview  # what is inside, for fields with a length
    whole: memoryview  # tag and length included


def cut(model: bytes, taps: Iterable[str]) -> bytes:
    """The model with these taps as its only outputs, in this order, and only the nodes and weights they need.

    Raises:
        MisconfiguredError: It is not an ONNX model, or it has no such output.
    """
    try:
        fields = list(_fields(memoryview(model)))
        graph = list(_fields(next(field.body for field in fields if field.number == _MODEL_GRAPH)))
        kept = _cut_graph(graph, list(taps))
    except (IndexError, StopIteration, UnicodeDecodeError, ValueError) as error:
        raise MisconfiguredError("this is not an ONNX model", remedy="export or fetch the weights again") from error
    body = b"".join(field.whole for field in kept)
    header = b"".join(field.whole for field in fields if field.number != _MODEL_GRAPH)
    return header + _varint(_MODEL_GRAPH << 3 | _LENGTH) + _varint(len(body)) + body


def outputs(model: bytes) -> tuple[str, ...]:
    """The names of a model's outputs.

    Raises:
        MisconfiguredError: It is not an ONNX model.
    """
    try:
        graph = next(field.body for field in _fields(memoryview(model)) if field.number == _MODEL_GRAPH)
        return tuple(_name(field, _VALUE_NAME) for field in _fields(graph) if field.number == _GRAPH_OUTPUT)
    except (IndexError, StopIteration, UnicodeDecodeError, ValueError) as error:
        raise MisconfiguredError("this is not an ONNX model", remedy="export or fetch the weights again") from error


def _cut_graph(graph: list[_Field], taps: list[str]) -> list[_Field]:
    declared = {_name(field, _VALUE_NAME): field for field in graph if field.number == _GRAPH_OUTPUT}
    missing = [tap for tap in taps if tap not in declared]
    if missing:
        raise MisconfiguredError(
            f"the model has no output {', '.join(map(repr, missing))}; it has {', '.join(declared)}", where="taps"
        )
    needed = set(taps)
    nodes: list[_Field] = []
    for field in reversed([field for field in graph if field.number == _GRAPH_NODE]):  # ONNX sorts nodes by need
        parts = [part for part in _fields(field.body) if part.number in {_NODE_INPUT, _NODE_OUTPUT}]
        if needed.isdisjoint(_text(part) for part in parts if part.number == _NODE_OUTPUT):
            continue
        needed.update(_text(part) for part in parts if part.number == _NODE_INPUT)
        nodes.append(field)
    weights = [field for field in graph if field.number == _GRAPH_INITIALIZER and _name(field, _TENSOR_NAME) in needed]
    dropped = {_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_OUTPUT, _GRAPH_VALUE_INFO}
    others = [field for field in graph if field.number not in dropped]
    return [*reversed(nodes), *others, *weights, *(declared[tap] for tap in taps)]


def _fields(message: memoryview) -> Iterator[_Field]:
    at = 0
    while at < len(message):
        start = at
        tag, at = _read_varint(message, at)
        number, kind = tag >> 3, tag & 7
        begin = at
        if kind == _LENGTH:
            length, begin = _read_varint(message, at)
            at = begin + length
        elif kind == _VARINT:
            _, at = _read_varint(message, at)
        elif kind in {_FIXED32, _FIXED64}:
            at += 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind}")
        if at > len(message):
            raise ValueError("a field ends after its message")
        yield _Field(number, message[begin:at], message[start:at])


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the top bit says whether another byte follows
            return value, at


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def _name(field: _Field, number: int) -> str:
    return next(_text(part) for part in _fields(field.body) if part.number == number)


def _text(field: _Field) -> str:
    return bytes(field.body).decode()
