"""A token bucket: the rate of a simulated uplink, shared by all connections of a station."""

import threading

from patchline.wire.errors import MisconfiguredError

BURST_SECONDS = 0.01
"""What an idle uplink passes at once, in seconds of its rate: 1 kB at 100 kB/s."""
FEWEST_BURST_BYTES = 512


class TokenBucket:
    """Says how many bytes may pass now. Any thread may ask.

    Args:
        bytes_per_second: The rate, counted in bytes of TCP payload.

    Raises:
        MisconfiguredError: That is not a positive number.
    """

    def __init__(self, bytes_per_second: float) -> None:
        if not 0 < bytes_per_second < float("inf"):
            raise MisconfiguredError(
                f"an uplink of {bytes_per_second} bytes a second carries nothing", remedy="use a positive number"
            )
        self.bytes_per_second = bytes_per_second
        self._burst = max(FEWEST_BURST_BYTES, BURST_SECONDS * bytes_per_second)
        self._lock = threading.Lock()
        self._tokens = self._burst
        self._filled_at = float("-inf")

    def allowance(self, now: float) -> int:
        """How many bytes may pass at this moment of the monotonic clock."""
        with self._lock:
            self._fill(now)
            return max(0, int(self._tokens))

    def spend(self, passed: int, now: float) -> None:
        """Count bytes that passed; more than were allowed are paid back by waiting."""
        with self._lock:
            self._fill(now)
            self._tokens -= passed

    def wait_seconds(self, now: float) -> float:
        """How long until half a burst may pass at once; 0 where it may now."""
        with self._lock:
            self._fill(now)
            return max(0.0, (self._burst / 2 - self._tokens) / self.bytes_per_second)

    def _fill(self, now: float) -> None:
        earned = max(0.0, now - self._filled_at) * self.bytes_per_second
        self._tokens = min(self._burst, self._tokens + earned)
        self._filled_at = max(now, self._filled_at)
