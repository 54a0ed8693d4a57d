"""How the entropy coder's states and words are written: states of 33 to 56 bits without padding, words of 24 bits."""

import numpy as np
from numpy.typing import NDArray

SEED_BITS = 32
"""Plain bits that a lane's first state carries, below its highest bit."""
WORD_BYTES = 3

_STATE_BITS, _STATE_BYTES, _LENGTH_BITS = 56, 7, 5
_FIRST_WITH = np.uint64(1) << np.arange(SEED_BITS + 1, _STATE_BITS, dtype=np.uint64)
"""The lowest states of 34 to 56 bits."""
_LENGTHS = np.unpackbits(np.arange(1 << _LENGTH_BITS, dtype=np.uint8)[:, None], axis=1)[:, -_LENGTH_BITS:]
_PLACES = np.arange(64)

Numbers = NDArray[np.uint64]


def pack_states(states: Numbers) -> bytes:
    """States, each with its number of bits (33 to 56) in five and without its highest bit."""
    lengths = _FIRST_WITH.searchsorted(states, side="right")
    bits = np.unpackbits(states.astype(">u8").view(np.uint8)).reshape(-1, len(_PLACES))
    kept = bits[(len(_PLACES) - SEED_BITS - 1 - lengths)[:, None] < _PLACES]
    return np.packbits(np.concatenate([_LENGTHS[lengths].ravel(), kept])).tobytes()


def unpack_states(body: bytes, lanes: int) -> tuple[Numbers, int]:
    """The states at the start of a body, and how many bytes they take.

    Raises:
        ValueError: The body is too short for them.
    """
    digits = np.unpackbits(np.frombuffer(body, dtype=np.uint8)[: (_STATE_BYTES + 1) * lanes])
    heads = _LENGTH_BITS * lanes
    if len(digits) < heads:
        raise ValueError("the states are cut off")
    lengths = SEED_BITS + 1 + (np.packbits(digits[:heads].reshape(lanes, -1), axis=1)[:, 0] >> 3).astype(np.intp)
    used = heads + int(lengths.sum()) - lanes
    if len(digits) < used or lengths.max() > _STATE_BITS:
        raise ValueError("the states are cut off")
    bits = np.zeros((lanes, len(_PLACES)), dtype=np.uint8)
    bits[len(_PLACES) - lengths[:, None] < _PLACES] = digits[heads:used]
    bits[np.arange(lanes), len(_PLACES) - lengths] = 1
    return np.packbits(bits, axis=1).view(">u8")[:, 0].astype(np.uint64), (used + 7) // 8


def pack_words(words: Numbers) -> bytes:
    """Words, three bytes each, the lowest first."""
    return words.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :WORD_BYTES].tobytes()


def unpack_words(body: bytes) -> Numbers:
    """The way back."""
    octets = np.zeros((len(body) // WORD_BYTES, 8), np.uint8)
    octets[:, :WORD_BYTES] = np.frombuffer(body, np.uint8).reshape(-1, WORD_BYTES)
    return octets.view("<u8")[:, 0].astype(np.uint64)
