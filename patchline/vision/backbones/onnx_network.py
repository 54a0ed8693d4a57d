"""Networks in ONNX files as torch modules (torch extra), so that what ONNX Runtime runs, torch runs on any device.

The operations are those of convolutional trunks; a file with another one is refused by name. Weights are folded once:
casts of them, and the multiplication and addition by channel that batch normalisation leaves before an activation.
"""

# mypy: allow-subclassing-any, allow-untyped-calls

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from patchline.vision.backbones.graph import cut
from patchline.vision.backbones.onnx_graph import Array, Graph, Node, read_graph
from patchline.wire.errors import MisconfiguredError

_CONSTANTS: dict[str, Callable[[Node, list[Array]], Any]] = {
    "Cast": lambda _, inputs: inputs[0].astype(np.float32),
    "Constant": lambda node, _: node.attributes["value"],
    "Identity": lambda _, inputs: inputs[0],
}
_EPSILON = 1e-5
_HALVES = 2


class _Affine(nn.Module):
    """`maps * scale + shift`, in one pass."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.addcmul(self.shift, maps, self.scale)


class _Step(NamedTuple):
    """One operation of a network: what it is, and where it reads and writes; what it is the last to read is dropped."""

    operation: Callable[..., Tensor]
    inputs: tuple[str, ...]
    output: str
    dropped: tuple[str, ...]


class OnnxNetwork(nn.Module):
    """The part of an ONNX model that leads to some of its outputs.

    Args:
        model: The file's bytes.
        taps: Outputs to give, in this order.

    Raises:
        MisconfiguredError: The bytes are no ONNX model, it has no such outputs, or an operation that is not known here.
    """

    def __init__(self, model: bytes, taps: Sequence[str]) -> None:
        super().__init__()
        graph = _folded(read_graph(cut(model, taps)))
        self._input, self._taps = graph.inputs[0], tuple(taps)
        self._operations = nn.ModuleList()
        self._steps = [self._step(node, graph.weights) for node in graph.nodes]
        self._mark_last_reads()
        self.requires_grad_(requires_grad=False)
        self.eval()

    def forward(self, batch: Tensor) -> tuple[Tensor, ...]:
        """`(B, 3, H, W)` to one map a tap."""
        values = {self._input: batch}
        for step in self._steps:
            values[step.output] = step.operation(*(values[name] for name in step.inputs))
            for name in step.dropped:
                del values[name]
        return tuple(values[tap] for tap in self._taps)

    def _step(self, node: Node, weights: Mapping[str, Array]) -> _Step:
        if node.kind not in _OPERATIONS:
            raise MisconfiguredError(
                f"the torch engine does not know the operation {node.kind}",
                remedy=f"use ONNX Runtime for this backbone; known are {', '.join(sorted(_OPERATIONS))}",
            )
        constants = {at: _tensor(weights[name]) for at, name in enumerate(node.inputs) if name in weights}
        operation = _OPERATIONS[node.kind](node, constants)
        if isinstance(operation, nn.Module):
            self._operations.append(operation)
        activations = tuple(name for name in node.inputs if name and name not in weights)
        return _Step(operation, activations, node.outputs[0], ())

    def _mark_last_reads(self) -> None:
        seen = set(self._taps)
        for at in range(len(self._steps) - 1, -1, -1):
            read = {name for name in self._steps[at].inputs if name not in seen}
            self._steps[at] = self._steps[at]._replace(dropped=tuple(sorted(read)))
            seen |= read


def _folded(graph: Graph) -> Graph:
    """What is made of weights alone becomes a weight; a product by channel and the sum after it become one node."""
    weights = dict(graph.weights)
    nodes: list[Node] = []
    readers = Counter([*graph.outputs, *(name for node in graph.nodes for name in node.inputs)])
    products: dict[str, Node] = {}
    for node in graph.nodes:
        known = node.kind in _CONSTANTS and (node.inputs or "value" in node.attributes)
        if known and all(name in weights for name in node.inputs):
            weights[node.outputs[0]] = _CONSTANTS[node.kind](node, [weights[name] for name in node.inputs])
        elif node.kind == "Add" and node.inputs[0] in products and node.inputs[1] in weights:
            product = products[node.inputs[0]]
            nodes.remove(product)
            nodes.append(Node("Affine", (*product.inputs, node.inputs[1]), node.outputs, {}))
        else:
            if node.kind == "Mul" and node.inputs[1] in weights and readers[node.outputs[0]] == 1:
                products[node.outputs[0]] = node
            nodes.append(node)
    return graph._replace(nodes=tuple(nodes), weights=weights)


def _tensor(array: Array) -> Tensor:
    floats = array.dtype.kind == "f"
    return torch.from_numpy(array.astype(np.float32) if floats else array.copy())


def _numbers(node: Node, name: str, default: Sequence[int]) -> tuple[int, ...]:
    found = node.attributes.get(name)
    return tuple(found) if isinstance(found, list) else tuple(default)


def _padding(node: Node) -> tuple[int, int]:
    """Rows and columns added at both ends."""
    pads = _numbers(node, "pads", (0, 0, 0, 0))
    if pads[:_HALVES] != pads[_HALVES:] or node.attributes.get("auto_pad", "NOTSET") != "NOTSET":
        raise MisconfiguredError(
            f"the torch engine does not know a {node.kind} whose padding differs from side to side",
            remedy="use ONNX Runtime for this backbone",
        )
    return pads[0], pads[1]


def _convolution(node: Node, constants: dict[int, Tensor]) -> nn.Module:
    weight, bias = constants[1], constants.get(2)
    groups = _numbers(node, "group", (1,))[0]
    module = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        (weight.shape[2], weight.shape[3]),
        stride=_numbers(node, "strides", (1, 1)),
        padding=_padding(node),
        dilation=_numbers(node, "dilations", (1, 1)),
        groups=groups,
        bias=bias is not None,
        device="meta",
    )
    module.weight = nn.Parameter(weight)
    module.bias = None if bias is None else nn.Parameter(bias)
    return module


def _clip(node: Node, constants: dict[int, Tensor]) -> Callable[..., Tensor]:
    lowest = float(constants[1]) if 1 in constants else node.attributes.get("min")
    highest = float(constants[2]) if 2 in constants else node.attributes.get("max")  # noqa: PLR2004 - the third input
    return lambda maps: torch.clamp(maps, lowest, highest)


def _normalisation(node: Node, constants: dict[int, Tensor]) -> nn.Module:
    scale, shift, mean, variance = (constants[at].reshape(1, -1, 1, 1) for at in range(1, 5))
    epsilon = node.attributes.get("epsilon", _EPSILON)
    factor = scale / torch.sqrt(variance + epsilon)
    return _Affine(factor, shift - mean * factor)


def _pair(operation: Callable[..., Tensor], constants: dict[int, Tensor]) -> Callable[..., Tensor]:
    """A sum or product of two maps, or of one with a weight."""
    if not constants:
        return operation
    weight = next(iter(constants.values()))
    return _Affine(torch.ones(()), weight) if operation is torch.add else _Affine(weight, torch.zeros(()))


def _pooling(node: Node, operation: Callable[..., Tensor]) -> Callable[..., Tensor]:
    size = _numbers(node, "kernel_shape", ())
    stride, padding = _numbers(node, "strides", (1, 1)), _padding(node)
    return lambda maps: operation(maps, size, stride, padding)


_OPERATIONS: dict[str, Callable[[Node, dict[int, Tensor]], Callable[..., Tensor]]] = {
    "Conv": _convolution,
    "Affine": lambda _, constants: _Affine(constants[1], constants[2]),
    "Add": lambda _, constants: _pair(torch.add, constants),
    "Mul": lambda _, constants: _pair(torch.mul, constants),
    "BatchNormalization": _normalisation,
    "Clip": _clip,
    "Relu": lambda _node, _: torch.relu,
    "Identity": lambda _node, _: lambda maps: maps,
    "Cast": lambda _node, _: lambda maps: maps,
    "MaxPool": lambda node, _: _pooling(node, functional.max_pool2d),
    "GlobalAveragePool": lambda _node, _: lambda maps: maps.mean((2, 3), keepdim=True),
}
