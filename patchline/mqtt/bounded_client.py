"""A paho client that reads no packet longer than it was told to expect.

MQTT 5 lets a client name its limit, and a good broker keeps to it. MQTT 3.1.1 has no such limit, and a broken or
hostile broker keeps to none: paho believes the length that a packet announces, up to 256 MiB.
"""

from typing import Any

from paho.mqtt.client import Client


class PacketTooLongError(OSError):
    """The broker began a packet that is over our limit; for paho the same as a connection that broke."""


class BoundedClient(Client):
    """Ends a connection over which a packet is announced that is too long, before a byte of it is read.

    Args:
        max_packet_bytes: The longest body of a packet that is read.
    """

    def __init__(self, *arguments: Any, max_packet_bytes: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._max_packet_bytes = max_packet_bytes

    def _sock_recv(self, bufsize: int) -> bytes:
        """What paho reads with; it asks for the whole rest of a packet at once."""
        if bufsize > self._max_packet_bytes:
            raise PacketTooLongError(
                f"the broker sends a packet of {bufsize} bytes, over our limit of {self._max_packet_bytes}"
            )
        return super()._sock_recv(bufsize)
