"""A paho client that writes no faster than a thin uplink carries."""

import time
from typing import Any

from patchline.mqtt.bounded_client import BoundedClient
from patchline.mqtt.uplink import Uplink


class ShapedClient(BoundedClient):
    """Writes as much as the uplink allows at a time, and keeps the rest queued.

    Args:
        uplink: Shared by all connections of a station.
    """

    def __init__(self, *arguments: Any, uplink: Uplink, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._uplink = uplink
        self._begun = 0

    def _sock_send(self, buf: bytes | bytearray) -> int:
        """What paho writes with; a part of the buffer may go, as with any socket.

        A TLS record that was begun and did not fit must be offered again at least as long as it was.
        """
        allowed = max(self._begun, self._uplink.allowance(time.monotonic()))
        if allowed == 0:
            raise BlockingIOError
        piece = buf[:allowed]
        self._begun = len(piece)
        sent = super()._sock_send(piece)
        self._begun = 0
        self._uplink.spend(sent, time.monotonic())
        return sent
