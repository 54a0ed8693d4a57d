"""Small numbers side by side without a gap: n codes of b bits take `ceil(n * b / 8)` bytes."""

import numpy as np
from numpy.typing import NDArray


def packed_bytes(count: int, bits: int) -> int:
    """How many bytes that many codes take."""
    return (count * bits + 7) // 8


def pack_bits(codes: NDArray[np.uint8], bits: int) -> bytes:
    """Codes of 1 to 8 bits as bytes, the highest bit first; what is left of the last byte is zero."""
    flat = codes.reshape(-1, 1)
    return np.packbits(np.unpackbits(flat, axis=1)[:, 8 - bits :]).tobytes()


def unpack_bits(body: bytes, count: int, bits: int) -> NDArray[np.uint8]:
    """The codes that became these bytes, of which there are exactly `packed_bytes(count, bits)`."""
    digits = np.unpackbits(np.frombuffer(body, dtype=np.uint8), count=count * bits).reshape(count, bits)
    wide = np.zeros((count, 8), dtype=np.uint8)
    wide[:, 8 - bits :] = digits
    return np.packbits(wide, axis=1)[:, 0]
