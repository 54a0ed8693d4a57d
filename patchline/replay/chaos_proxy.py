"""A TCP proxy for tests and simulations: limits the rate, delays, goes silent, resets, half-closes or flips a byte."""

import logging
import random
import select
import socket
import struct
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from patchline.replay.token_bucket import TokenBucket

_log = logging.getLogger(__name__)

_CHUNK_BYTES = 16_384
_LONG_BYTES = 900
_TAIL_BYTES = 200
"""Behind a picture come its digest and the stages; a flip there would be one of the envelope."""
_SMALL_BUFFER_BYTES = 16_384
"""Of the kernel for what a client sends, where the rate is limited: more would hide the limit from the client."""
_SEND_SECONDS = 30.0
_POLL_SECONDS = 0.05
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for zero seconds: closing sends RST instead of FIN."""


class ChaosProxy:
    """A TCP proxy between clients and a server on loopback; it changes nothing until a fault is set. Use it by `with`.

    Args:
        port: The server's.
        seed: Of what is chosen at random.
        uplink: Limits what all connections together carry to the server; None limits nothing.

    Attributes:
        port: Its own.
        delay_seconds: Every chunk waits so long.
        silent: Nothing is passed on and nothing is closed: a half-open connection.
        corrupt: How many chunks to the server are still to have one byte of their second half flipped; only long ones,
            such as carry pictures, are taken.
    """

    def __init__(self, port: int, *, seed: int = 0, uplink: TokenBucket | None = None) -> None:
        self._server_port, self._uplink = port, uplink
        self._rng = random.Random(seed)  # noqa: S311 - a place to break, not a secret
        self._listener = socket.create_server(("127.0.0.1", 0))
        if uplink is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER_BYTES)
        self.port: int = self._listener.getsockname()[1]
        self.delay_seconds = 0.0
        self.silent = False
        self.corrupt = 0
        self._closing = False
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []

    def __enter__(self) -> Self:
        self._listener.settimeout(_POLL_SECONDS)
        threading.Thread(target=self._accept, name="chaos-proxy", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._listener.close()
        self.reset()

    @property
    def connections(self) -> int:
        """How many are open."""
        with self._lock:
            return len(self._pairs)

    def reset(self) -> None:
        """End every connection with RST on both sides."""
        for pair in self._taken():
            for end in pair:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.close()

    def half_close(self) -> None:
        """Tell every server that its client will say no more, and the client nothing."""
        with self._lock:
            pairs = list(self._pairs)
        for _, server in pairs:
            with suppress(OSError):
                server.shutdown(socket.SHUT_WR)

    def _taken(self) -> list[tuple[socket.socket, socket.socket]]:
        with self._lock:
            pairs, self._pairs = self._pairs, []
        return pairs

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._server_port), timeout=1.0)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._pairs.append((client, server))
            for source, target, upwards in ((client, server, True), (server, client, False)):
                source.settimeout(_SEND_SECONDS)
                threading.Thread(
                    target=self._pump, args=(source, target), kwargs={"upwards": upwards}, daemon=True
                ).start()

    def _pump(self, source: socket.socket, target: socket.socket, *, upwards: bool) -> None:
        while not self._closing:
            if self.silent:
                time.sleep(_POLL_SECONDS)
                continue
            limit = self._uplink if upwards else None
            if limit is not None and (pause := limit.wait_seconds(time.monotonic())):
                time.sleep(min(pause, _POLL_SECONDS))
                continue
            try:
                if not select.select([source], [], [], _POLL_SECONDS)[0]:
                    continue
                chunk = source.recv(_CHUNK_BYTES if limit is None else max(1, limit.allowance(time.monotonic())))
            except (OSError, ValueError):  # closed by the other direction meanwhile
                break
            if limit is not None:
                limit.spend(len(chunk), time.monotonic())
            if not chunk or not self._pass_on(chunk, target, upwards=upwards):
                break
        self._end(source, target)

    def _pass_on(self, chunk: bytes, target: socket.socket, *, upwards: bool) -> bool:
        if self.delay_seconds:
            time.sleep(self.delay_seconds)
        while self.silent and not self._closing:
            time.sleep(_POLL_SECONDS)
        try:
            target.sendall(self._maybe_damaged(chunk) if upwards else chunk)
        except OSError:
            return False
        return True

    def _maybe_damaged(self, chunk: bytes) -> bytes:
        with self._lock:
            if self.corrupt <= 0 or len(chunk) < _LONG_BYTES:
                return chunk
            self.corrupt -= 1
            place = self._rng.randrange(len(chunk) // 2, len(chunk) - _TAIL_BYTES)
        _log.info("byte %d of a chunk of %d flipped", place, len(chunk))
        return chunk[:place] + bytes([chunk[place] ^ (1 << self._rng.randrange(8))]) + chunk[place + 1 :]

    def _end(self, *ends: socket.socket) -> None:
        with self._lock:
            self._pairs = [pair for pair in self._pairs if not set(pair) & set(ends)]
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
