"""A thin uplink played by a program: a token bucket that all of a station's connections write through.

Where the operating system cannot shape the link, the sockets are written to no faster than the link would carry: a
packet takes its time, and what follows it waits behind it. Nothing is held back for ever, whatever its size: tokens
come all the time, and a packet goes out in pieces. What is received is not shaped.
"""

import threading

from paho.mqtt.client import Client

from patchline.wire.errors import MisconfiguredError

BURST_SECONDS = 0.01
"""What an idle link may send at once, in seconds of its rate: 1 kB at 100 kB/s; a packet of 100 kB takes its second."""
FEWEST_BURST_BYTES = 512


class Uplink:
    """The bucket. Any thread may ask.

    Args:
        bytes_per_second: What the link carries: the bytes of MQTT packets, without those of TCP, IP and TLS.

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
        """How many bytes may be written at this moment of the monotonic clock."""
        with self._lock:
            self._fill(now)
            return max(0, int(self._tokens))

    def spend(self, written: int, now: float) -> None:
        """So many bytes were written; more than were allowed are paid back by waiting."""
        with self._lock:
            self._fill(now)
            self._tokens -= written

    def wait_seconds(self, now: float) -> float:
        """How long until writing is worth while: until half a burst may go at once; 0 where it may now."""
        with self._lock:
            self._fill(now)
            return max(0.0, (self._burst / 2 - self._tokens) / self.bytes_per_second)

    def _fill(self, now: float) -> None:
        earned = max(0.0, now - self._filled_at) * self.bytes_per_second
        self._tokens = min(self._burst, self._tokens + earned)
        self._filled_at = max(now, self._filled_at)


def pause_of(uplink: Uplink | None, client: Client, now: float) -> float:
    """How long a connection must leave its socket alone although it has something to write."""
    return uplink.wait_seconds(now) if uplink is not None and client.want_write() else 0.0
