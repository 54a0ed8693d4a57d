"""The nodes and weights of an ONNX file, read by the protobuf wire format alone."""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from patchline.vision.backbones.protobuf import LENGTH, Field, fields_of, read_varint, text
from patchline.wire.errors import MisconfiguredError

Array: TypeAlias = NDArray[np.generic]
Attribute: TypeAlias = float | str | list[int] | Array
"""A whole number and a list of them are both a list."""

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_KIND, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_FLOAT, _ATTRIBUTE_INT, _ATTRIBUTE_TEXT, _ATTRIBUTE_TENSOR, _ATTRIBUTE_INTS = (
    1,
    2,
    3,
    4,
    5,
    8,
)
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_VALUE_NAME = 1
_TYPES = {1: "<f4", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}
_SIGN = 1 << 63


class Node(NamedTuple):
    """An operation.

    Attributes:
        kind: Its ONNX name.
        inputs: Names of what it reads; empty where an optional one is left out.
        outputs: Names of what it gives.
        attributes: By name, those that are numbers, a text or a tensor.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Attribute]


class Graph(NamedTuple):
    """A model.

    Attributes:
        nodes: In an order in which they can be run.
        weights: By name.
        inputs: Names of what it is given, weights left out.
        outputs: Names of what it gives.
    """

    nodes: tuple[Node, ...]
    weights: dict[str, Array]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_graph(model: bytes) -> Graph:
    """The graph of an ONNX model whose weights are in the file itself.

    Raises:
        MisconfiguredError: It is not an ONNX model, or its weights are kept in a way that is not read here.
    """
    try:
        return _graph(memoryview(model))
    except (IndexError, KeyError, StopIteration, UnicodeDecodeError, ValueError) as error:
        raise MisconfiguredError(
            "this is not an ONNX model whose weights can be read", remedy="export or fetch the weights again"
        ) from error


def _graph(model: memoryview) -> Graph:
    graph = list(fields_of(next(field.body for field in fields_of(model) if field.number == _MODEL_GRAPH)))
    weights = dict(_tensor(field.body) for field in graph if field.number == _GRAPH_INITIALIZER)
    inputs = tuple(_texts(graph, _GRAPH_INPUT))
    return Graph(
        nodes=tuple(_node(field.body) for field in graph if field.number == _GRAPH_NODE),
        weights=weights,
        inputs=tuple(name for name in inputs if name not in weights),
        outputs=tuple(_texts(graph, _GRAPH_OUTPUT)),
    )


def _texts(graph: list[Field], number: int) -> Iterator[str]:
    for field in graph:
        if field.number == number:
            yield next(text(part) for part in fields_of(field.body) if part.number == _VALUE_NAME)


def _node(message: memoryview) -> Node:
    fields = list(fields_of(message))
    return Node(
        kind=next(text(field) for field in fields if field.number == _NODE_KIND),
        inputs=tuple(text(field) for field in fields if field.number == _NODE_INPUT),
        outputs=tuple(text(field) for field in fields if field.number == _NODE_OUTPUT),
        attributes=dict(_attributes(fields)),
    )


def _attributes(fields: list[Field]) -> Iterator[tuple[str, Attribute]]:
    for field in fields:
        if field.number != _NODE_ATTRIBUTE:
            continue
        parts = list(fields_of(field.body))
        name = next(text(part) for part in parts if part.number == _ATTRIBUTE_NAME)
        numbers = [part for part in parts if part.number in {_ATTRIBUTE_INT, _ATTRIBUTE_INTS}]
        if numbers:
            yield name, _whole_numbers(numbers)
        for part in parts:
            if part.number == _ATTRIBUTE_FLOAT:
                yield name, float(np.frombuffer(part.body, "<f4")[0])
            elif part.number == _ATTRIBUTE_TEXT:
                yield name, text(part)
            elif part.number == _ATTRIBUTE_TENSOR:
                yield name, _tensor(part.body)[1]


def _tensor(message: memoryview) -> tuple[str, Array]:
    fields = list(fields_of(message))
    shape = _whole_numbers([field for field in fields if field.number == _TENSOR_DIMS])
    kind = _TYPES[_whole_numbers([field for field in fields if field.number == _TENSOR_TYPE])[0]]
    content = next(field.body for field in fields if field.number == _TENSOR_RAW)
    name = next((text(field) for field in fields if field.number == _TENSOR_NAME), "")
    return name, np.frombuffer(content, kind).reshape(shape)


def _whole_numbers(fields: list[Field]) -> list[int]:
    """Whole numbers of repeated fields, packed or one by one, as writers please."""
    numbers = []
    for field in fields:
        at = 0
        while at < len(field.body):
            number, at = read_varint(field.body, at)
            numbers.append(number - 2 * _SIGN if number >= _SIGN else number)
            if field.kind != LENGTH:
                break
    return numbers
