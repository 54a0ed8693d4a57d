"""How fast a link is, as people write it: `100kB/s`, `1Mbit/s`."""

import re

from patchline.wire.errors import MisconfiguredError

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)(B|bit)/s", re.ASCII)
_FACTORS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_BITS_A_BYTE = 8


def bytes_per_second_of(text: str, *, where: str = "--uplink") -> float:
    """Read a rate: a number, then `B/s` or `bit/s` with `k`, `M` or `G` (thousands, as networks count) before it.

    Raises:
        MisconfiguredError: It is not that, or it is zero.
    """
    found = _RATE.fullmatch(text.strip())
    rate = 0.0 if found is None else float(found[1]) * _FACTORS[found[2]]
    if found is None or rate <= 0:
        raise MisconfiguredError(f"{text!r} is not a rate", where=where, remedy="write 100kB/s, or 1Mbit/s")
    return rate / _BITS_A_BYTE if found[3] == "bit" else rate
