"""The protobuf wire format, as far as ONNX files use it."""

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""Wire types of fields."""


class Field(NamedTuple):
    """A field of a message.

    Attributes:
        number: As the schema has it.
        kind: The wire type.
        body: What is inside, for fields with a length; otherwise the value's bytes.
        whole: Tag and length included.
    """

    number: int
    kind: int
    body: memoryview
    whole: memoryview


def fields_of(message: memoryview) -> Iterator[Field]:
    """The fields of a message, in their order.

    Raises:
        IndexError, ValueError: It is no such message.
    """
    at = 0
    while at < len(message):
        start = at
        tag, at = read_varint(message, at)
        number, kind = tag >> 3, tag & 7
        begin = at
        if kind == LENGTH:
            length, begin = read_varint(message, at)
            at = begin + length
        elif kind == VARINT:
            _, at = read_varint(message, at)
        elif kind in {FIXED32, FIXED64}:
            at += 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind}")
        if at > len(message):
            raise ValueError("a field ends after its message")
        yield Field(number, kind, message[begin:at], message[start:at])


def read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at a place, and the place behind it."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the top bit says whether another byte follows
            return value, at


def varint(value: int) -> bytes:
    """A number as the format writes it, seven bits a byte."""
    digits = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def text(field: Field) -> str:
    """A field's body as text."""
    return bytes(field.body).decode()
