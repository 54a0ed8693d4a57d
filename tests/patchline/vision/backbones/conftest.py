"""Tiny ONNX models, written by the protobuf wire format so that the tests need no ONNX package."""

import struct
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest


def varint(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def field(number: int, content: bytes | str | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    body = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(body)) + body


def value_info(name: str, channels: int) -> bytes:
    sizes = (field(2, "N"), field(1, channels), field(2, f"h_{name}"), field(2, f"w_{name}"))
    shape = b"".join(field(1, size) for size in sizes)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


def convolution(source: str, name: str) -> bytes:
    strides = field(1, "strides") + field(8, 2) + field(8, 2) + field(20, 7)
    inputs = field(1, source) + field(1, f"{name}.weight")
    return inputs + field(2, name) + field(3, f"node_{name}") + field(4, "Conv") + field(5, strides)


def weight(name: str, array: np.ndarray) -> bytes:
    sizes = b"".join(field(1, size) for size in array.shape)
    return sizes + field(2, 1) + field(8, f"{name}.weight") + field(9, array.astype("<f4").tobytes())


def chain(taps: Sequence[str] = ("tap1", "tap2", "tap3")) -> bytes:
    """A chain of 2x2 convolutions at stride 2 and one branch that leads nowhere; every stage is an output.

    Stage n gives 3 + n channels. A `producer_name` and a fixed-size unknown field surround the graph.
    """
    rng = np.random.default_rng(0)
    nodes, weights, outputs = b"", b"", b""
    source, channels = "input", 3
    for tap in taps:
        nodes += field(1, convolution(source, tap))
        weights += field(5, weight(tap, rng.standard_normal((channels + 1, channels, 2, 2))))
        outputs += field(12, value_info(tap, channels + 1))
        source, channels = tap, channels + 1
    nodes += field(1, convolution(taps[0], "aside"))
    weights += field(5, weight("aside", rng.standard_normal((4, 4, 2, 2))))
    graph = nodes + field(2, "chain") + weights + field(11, value_info("input", 3)) + outputs
    fixed = varint(99 << 3 | 5) + struct.pack("<f", 1.0)
    return field(1, 8) + field(2, "patchline tests") + field(7, graph) + field(8, field(1, "") + field(2, 17)) + fixed


@pytest.fixture(scope="session")
def chain_model() -> bytes:
    return chain()


def node(kind: str, inputs: Sequence[str], output: str, **attributes: list[int] | float) -> bytes:
    """One operation; attributes are whole numbers, as a list where they are several, or a float."""
    parts = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, kind)
    for name, value in attributes.items():
        if isinstance(value, float):
            body = varint(2 << 3 | 5) + struct.pack("<f", value) + field(20, 1)
        else:
            body = b"".join(field(8, each) for each in value) + field(20, 7) if len(value) > 1 else field(3, *value)
            body += field(20, 2) if len(value) == 1 else b""
        parts += field(5, field(1, name) + body)
    return field(1, parts)


def model_of(nodes: Sequence[bytes], weights: Mapping[str, np.ndarray], taps: Mapping[str, int]) -> bytes:
    """A model of such nodes; `taps` says how many channels each output has."""
    graph = b"".join(nodes) + field(2, "test") + field(11, value_info("input", 3))
    for name, array in weights.items():
        sizes = b"".join(field(1, size) for size in array.shape)
        graph += field(5, sizes + field(2, 1) + field(8, name) + field(9, array.astype("<f4").tobytes()))
    graph += b"".join(field(12, value_info(name, channels)) for name, channels in taps.items())
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 17))


@pytest.fixture(scope="session")
def write_node() -> Callable[..., bytes]:
    return node


@pytest.fixture(scope="session")
def write_model() -> Callable[..., bytes]:
    return model_of
