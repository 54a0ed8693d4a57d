"""What an AVIF file says of its size before anything is decoded.

The file's own `ispe` box is not enough: decoders allocate what the AV1 sequence header inside asks for, up to 268
million pixels. So a file is taken only in the form in which libavif writes one still picture, three boxes of which the
last is nothing but one stream of AV1 with one sequence header.
"""

from collections.abc import Iterator

from patchline.vision.pixels.arrays import Size
from patchline.wire.errors import UnreadableError

_BOX_HEAD = 8
_SEQUENCE_HEADER = 1
_FLAGS, _HAS_LENGTH = 0b1000_0111, 0b0000_0010
"""Of a unit's first byte: all bits but its kind, and how they are here (section 5.3.2)."""
_ONE_ITEM = bytes.fromhex("00000000 44 00 0001 0001 0000 0001")
"""An `iloc` box of version 0, offsets and lengths of 4 bytes, one item numbered 1 in this file, one extent."""


def declared_size(payload: bytes) -> Size:
    """Height and width of the one picture in an AVIF file.

    Raises:
        UnreadableError: It is not an AVIF file, or not in this form.
    """
    boxes = list(_boxes(payload, 0, len(payload)))
    if not boxes or boxes[0][0] != b"ftyp" or payload[8:12] != b"avif":
        raise UnreadableError("the payload is not an AVIF", code="picture")
    if [name for name, _, _ in boxes] != [b"ftyp", b"meta", b"mdat"]:
        raise _not_plain("its boxes are others than ftyp, meta and mdat")
    _, meta, after_meta = boxes[1]
    _, media, end = boxes[2]
    places = [payload[start:stop] for name, start, stop in _boxes(payload, meta + 4, after_meta) if name == b"iloc"]
    extent = media.to_bytes(4, "big") + (end - media).to_bytes(4, "big")
    if places != [_ONE_ITEM + extent]:
        raise _not_plain("its picture is not all of its data")
    headers = [content for kind, content in _units(payload[media:end]) if kind == _SEQUENCE_HEADER]
    if len(headers) != 1:
        raise _not_plain("it has not exactly one sequence header")
    return _size_in(headers[0])


def _boxes(payload: bytes, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the content of every box from `place` to `end`."""
    while place < end:
        length = int.from_bytes(payload[place : place + 4], "big")
        if length < _BOX_HEAD or place + length > end:
            raise UnreadableError("the AVIF is damaged: a box does not fit into it", code="picture")
        yield payload[place + 4 : place + _BOX_HEAD], place + _BOX_HEAD, place + length
        place += length


def _units(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of every open bitstream unit (AV1 specification, section 5.3)."""
    place = 0
    while place < len(stream):
        head = stream[place]
        if head & _FLAGS != _HAS_LENGTH:
            raise _not_plain("a unit of its stream has no length, or an extension")
        length, place = _leb128(stream, place + 1)
        if place + length > len(stream):
            raise UnreadableError("the AVIF is damaged: a unit does not fit into its stream", code="picture")
        yield head >> 3, stream[place : place + length]
        place += length


def _leb128(stream: bytes, place: int) -> tuple[int, int]:
    """A number in groups of seven bits, and the place behind it (section 4.10.5)."""
    number = 0
    for group in range(5):
        byte = stream[place + group] if place + group < len(stream) else 0x80
        number |= (byte & 0x7F) << 7 * group
        if byte < 0x80:  # noqa: PLR2004 the highest bit says that another group follows
            return number, place + group + 1
    raise UnreadableError("the AVIF is damaged: the length of a unit does not end", code="picture")


def _size_in(header: bytes) -> Size:
    """Height and width in a sequence header of a still picture in its short form (section 5.5.1)."""
    bits = "".join(f"{byte:08b}" for byte in header[:8]).ljust(64, "0")
    still_and_short, place = bits[3:5], 10
    if still_and_short != "11":
        raise _not_plain("its stream is not that of a still picture")
    width_bits, height_bits = int(bits[place : place + 4], 2) + 1, int(bits[place + 4 : place + 8], 2) + 1
    place += 8
    width = int(bits[place : place + width_bits], 2) + 1
    height = int(bits[place + width_bits : place + width_bits + height_bits], 2) + 1
    return height, width


def _not_plain(why: str) -> UnreadableError:
    return UnreadableError(f"the AVIF is not one plain still picture: {why}", code="picture")
