"""The one place that overrides a private method of paho: it has no public limit for incoming packets.

In MQTT 5 a client announces its limit, and most brokers respect it. MQTT 3.1.1 has no such limit. paho then believes
the length that a packet announces, up to 256 MiB.
"""

from typing import Any

from paho.mqtt.client import Client


class PacketTooLongError(OSError):
    """The broker announced a packet over our limit. paho treats it as a broken connection."""


class BoundedClient(Client):
    """Ends the connection when a packet over the limit is announced, before its body is read.

    Args:
        max_packet_bytes: The longest packet body that is read.
    """

    def __init__(self, *arguments: Any, max_packet_bytes: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._max_packet_bytes = max_packet_bytes

    def _sock_recv(self, bufsize: int) -> bytes:
        """Paho asks for the whole rest of a packet at once, so `bufsize` is the announced length."""
        if bufsize > self._max_packet_bytes:
            raise PacketTooLongError(
                f"the broker sends a packet of {bufsize} bytes, over our limit of {self._max_packet_bytes}"
            )
        return super()._sock_recv(bufsize)
