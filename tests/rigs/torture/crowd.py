"""Many idle MQTT clients from one thread: each a socket and a CONNECT packet of our own."""

import select
import socket
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

_PATIENCE_SECONDS = 20.0
_KEEPALIVE_SECONDS = 600
_CONNACK = 0x20


class Crowd:
    """Devices that connect and say nothing more.

    Args:
        port: The broker's.
        count: How many.

    Attributes:
        troubles: Who was not let in.
    """

    def __init__(self, port: int, count: int) -> None:
        self._port, self._count = port, count
        self._sockets: list[socket.socket] = []
        self.troubles: list[str] = []

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def connect(self) -> None:
        """All at once, again where they were connected before; every one must be answered."""
        self._close()
        waiting: dict[int, socket.socket] = {}
        poll = select.poll()
        for number in range(self._count):
            device = socket.socket()
            device.setblocking(False)
            with suppress(BlockingIOError):
                device.connect(("127.0.0.1", self._port))
            self._sockets.append(device)
            waiting[device.fileno()] = device
            poll.register(device, select.POLLOUT)
            device_id = f"idle-{number}".encode()
            self._packets[device.fileno()] = _connect_packet(device_id)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while waiting and time.monotonic() < deadline:
            for descriptor, events in poll.poll(100):
                self._step(descriptor, events, waiting, poll)
        if waiting:
            self.troubles.append(f"{len(waiting)} of {self._count} idle devices were not let in")

    def _step(self, descriptor: int, events: int, waiting: dict[int, socket.socket], poll: select.poll) -> None:
        device = waiting[descriptor]
        try:
            if events & select.POLLOUT:
                device.sendall(self._packets[descriptor])
                poll.modify(device, select.POLLIN)
            elif device.recv(64)[:1] == bytes([_CONNACK]):
                poll.unregister(device)
                del waiting[descriptor]
        except OSError as error:
            poll.unregister(device)
            del waiting[descriptor]
            self.troubles.append(f"an idle device was not let in: {error}")

    def _close(self) -> None:
        for device in self._sockets:
            device.close()
        self._sockets = []
        self._packets: dict[int, bytes] = {}


def _connect_packet(client_id: bytes) -> bytes:
    """CONNECT of MQTT 3.1.1 (OASIS standard, section 3.1): clean session, no will."""
    body = (
        b"\x00\x04MQTT\x04\x02" + _KEEPALIVE_SECONDS.to_bytes(2, "big") + len(client_id).to_bytes(2, "big") + client_id
    )
    return bytes([0x10, len(body)]) + body
