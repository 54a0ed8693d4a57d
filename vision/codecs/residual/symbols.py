"""Values as symbols of a small alphabet, and the plain bits that go with them: signs, and where in its octave one lies.

Symbols from `EXACT` on are octaves: the k-th begins at `EXACT << k`, and `4 + k` bits say where in it a value lies
(exponential Golomb codes; Teuhola, 1978).
"""

import numpy as np
from numpy.typing import NDArray

from vision.codecs.residual.tables import EXACT, SYMBOLS

_FIRST_BITS = 4
_WIDTH = 16

Bits = NDArray[np.uint8]
Values = NDArray[np.uint16]


def symbols_of(values: Values) -> NDArray[np.uint8]:
    """The symbol of each value, 0 to `LARGEST`."""
    if not len(values) or values.max() < EXACT:
        return values.astype(np.uint8)
    octaves = np.log2(np.maximum(values, EXACT)).astype(np.uint16) - _FIRST_BITS
    return np.where(values < EXACT, values, EXACT + octaves).astype(np.uint8)


def plain_bits(negative: NDArray[np.bool_], values: Values, symbols: NDArray[np.uint8]) -> Bits:
    """Signs, then the places of large values in their octaves, octave by octave, one bit a number."""
    parts = [negative.view(np.uint8)]
    for octave in range(int(symbols.max(initial=0)) - EXACT + 1):
        offsets = values[symbols == EXACT + octave] - np.uint16(EXACT << octave)
        digits = np.unpackbits(offsets.astype(">u2").view(np.uint8)).reshape(-1, _WIDTH)
        parts.append(digits[:, _WIDTH - _FIRST_BITS - octave :].ravel())
    return np.concatenate(parts)


def plain_bit_count(symbols: NDArray[np.uint8]) -> int:
    """How many plain bits go with symbols, none of which is 0."""
    counts = np.bincount(symbols, minlength=SYMBOLS)[EXACT:]
    return len(symbols) + int(counts @ (_FIRST_BITS + np.arange(SYMBOLS - EXACT)))


def values_of(symbols: NDArray[np.uint8], bits: Bits) -> tuple[NDArray[np.bool_], Values]:
    """Which values are negative, and their magnitudes, from symbols other than 0 and exactly their plain bits."""
    count = len(symbols)
    values, at = symbols.astype(np.uint16), count
    for octave in range(int(symbols.max(initial=0)) - EXACT + 1):
        large = np.flatnonzero(symbols == EXACT + octave)
        width = _FIRST_BITS + octave
        digits = np.zeros((len(large), _WIDTH), dtype=np.uint8)
        digits[:, _WIDTH - width :] = bits[at : at + len(large) * width].reshape(-1, width)
        values[large] = (EXACT << octave) + np.packbits(digits, axis=1).view(">u2")[:, 0].astype(np.uint16)
        at += len(large) * width
    return bits[:count].astype(np.bool_), values
