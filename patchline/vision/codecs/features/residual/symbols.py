"""Values as symbols of a small alphabet, and the plain bits that go with them: signs, and where in its octave one lies.

Symbols from `EXACT` on are octaves: the k-th begins at `EXACT << k`, and `4 + k` bits say where in it a value lies
(exponential Golomb codes; Teuhola, 1978).
"""

import numpy as np
from numpy.typing import NDArray

from patchline.vision.codecs.features.residual.tables import EXACT, LARGEST, SYMBOLS

_FIRST_BITS = 4
_WIDTH = 16

Bits = NDArray[np.uint8]
Values = NDArray[np.integer]

_EVERY_VALUE = np.arange(LARGEST + 1)
_OCTAVES = np.log2(np.maximum(_EVERY_VALUE, EXACT)).astype(np.uint8) - np.uint8(_FIRST_BITS)
_SYMBOLS = np.where(_EVERY_VALUE < EXACT, _EVERY_VALUE, EXACT + _OCTAVES).astype(np.uint8)
EXTRA_BITS = np.maximum(np.arange(SYMBOLS) - EXACT + _FIRST_BITS, 0) * (np.arange(SYMBOLS) >= EXACT)
"""How many plain bits go with each symbol, beside the sign."""


def symbols_of(values: Values) -> NDArray[np.uint8]:
    """The symbol of each value, 0 to `LARGEST`."""
    symbols: NDArray[np.uint8] = _SYMBOLS[values]
    return symbols


def plain_bits(negative: NDArray[np.bool_], values: Values) -> Bits:
    """Signs, then the places of large values in their octaves, octave by octave, one bit a number."""
    signs = negative.view(np.uint8)
    large = values[(values >= EXACT).nonzero()[0]]
    if not len(large):
        return signs
    octaves = _OCTAVES[large]
    by_octave = octaves.argsort(kind="stable")
    large, octaves = large[by_octave], octaves[by_octave]
    digits = np.unpackbits((large - (EXACT << octaves.astype(np.intp))).astype(">u2").view(np.uint8))
    used = np.arange(_WIDTH) >= _WIDTH - _FIRST_BITS - octaves.astype(np.intp)[:, None]
    return np.concatenate([signs, digits.reshape(used.shape)[used]])


def plain_bit_count(symbols: NDArray[np.uint8]) -> int:
    """How many plain bits go with symbols, none of which is 0."""
    return len(symbols) + int(np.bincount(symbols, minlength=SYMBOLS) @ EXTRA_BITS)


def values_of(symbols: NDArray[np.uint8], bits: Bits) -> tuple[NDArray[np.bool_], NDArray[np.uint16]]:
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
