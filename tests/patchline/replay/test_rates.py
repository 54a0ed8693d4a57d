"""How fast a link is, as people write it."""

import pytest

from patchline.replay.rates import bytes_per_second_of
from patchline.wire.errors import MisconfiguredError


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100kB/s", 100_000),
        ("1Mbit/s", 125_000),
        ("0.5MB/s", 500_000),
        ("800 kbit/s", 100_000),
        ("64B/s", 64),
        (" 1GB/s ", 1e9),
    ],
)
def test_bits_and_bytes_are_told_apart(text: str, rate: float) -> None:
    assert bytes_per_second_of(text) == rate


@pytest.mark.parametrize(
    "text", ["", "100", "100k", "kB/s", "-1kB/s", "0kB/s", "100KB/s", "100kb/s", "2Mbps", "1e3B/s", "nan B/s"]
)
def test_what_could_mean_two_things_is_refused(text: str) -> None:
    with pytest.raises(MisconfiguredError, match=r"is not a rate \(--uplink\); write 100kB/s, or 1Mbit/s"):
        bytes_per_second_of(text)
