"""The nodes and weights of an ONNX file as tuples and arrays, for the torch twin of a backbone (torch extra)."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from patchline.vision.backbones.graph import parsed
from patchline.wire.errors import MisconfiguredError

Array: TypeAlias = NDArray[np.generic]
Attribute: TypeAlias = float | str | list[int] | Array
"""A whole number and a list of them are both a list."""


class Node(NamedTuple):
    """An operation: its ONNX name, the names of what it reads (empty where one is left out) and gives, its options."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Attribute]


class Graph(NamedTuple):
    """A model: nodes in an order in which they can be run, weights by name, names of what it is given and gives."""

    nodes: tuple[Node, ...]
    weights: dict[str, Array]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_graph(model: bytes) -> Graph:
    """The graph of an ONNX model whose weights are in the file itself.

    Raises:
        MisconfiguredError: It is not an ONNX model, or its weights cannot be read.
    """
    graph = parsed(model).graph
    try:
        weights = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
        nodes = tuple(
            Node(
                node.op_type,
                tuple(node.input),
                tuple(node.output),
                {attribute.name: _attribute(helper.get_attribute_value(attribute)) for attribute in node.attribute},
            )
            for node in graph.node
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MisconfiguredError(
            "this is not an ONNX model whose weights can be read", remedy="export or fetch the weights again"
        ) from error
    inputs = tuple(given.name for given in graph.input if given.name not in weights)
    return Graph(nodes, weights, inputs, tuple(output.name for output in graph.output))


def _attribute(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return [value] if isinstance(value, int) else value
