"""The proxy does to a connection what it is told, and nothing else."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from patchline.replay.chaos_proxy import ChaosProxy


@pytest.fixture
def echo_port() -> Iterator[int]:
    """A server that says back what it hears, until it hears the end."""
    listener = socket.create_server(("127.0.0.1", 0))

    def talk(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(65_536):
                connection.sendall(data)
            connection.sendall(b"END")

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture
def proxy(echo_port: int) -> Iterator[ChaosProxy]:
    with ChaosProxy(echo_port, seed=3) as standing:
        yield standing


@pytest.fixture
def wire(proxy: ChaosProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=60.0) as connection:
        yield connection


def asked(wire: socket.socket, data: bytes) -> bytes:
    wire.sendall(data)
    answer = b""
    while len(answer) < len(data):
        answer += wire.recv(65_536)
    return answer


def test_it_is_transparent_unless_told_otherwise(proxy: Any, wire: Any) -> None:
    data = bytes(range(256)) * 4096
    sender = threading.Thread(target=wire.sendall, args=(data,))
    sender.start()
    answer = b""
    while len(answer) < len(data):
        answer += wire.recv(65_536)
    sender.join()
    assert answer == data
    assert proxy.connections == 1


def test_a_silent_proxy_keeps_the_connection_and_passes_later_what_it_held(proxy: Any, wire: Any) -> None:
    assert asked(wire, b"one") == b"one"
    proxy.silent = True
    wire.sendall(b"two")
    wire.settimeout(0.4)
    with pytest.raises(TimeoutError):
        wire.recv(3)
    proxy.silent = False
    wire.settimeout(60.0)
    assert wire.recv(3) == b"two"


def test_a_reset_is_one(proxy: Any, wire: Any) -> None:
    assert asked(wire, b"one") == b"one"
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        wire.recv(3)
    assert proxy.connections == 0


def test_a_half_closed_connection_still_speaks(proxy: Any, wire: Any) -> None:
    assert asked(wire, b"one") == b"one"
    proxy.half_close()
    assert wire.recv(3) == b"END"


def test_exactly_one_bit_of_a_long_chunk_is_flipped_and_short_ones_pass(proxy: Any, wire: Any) -> None:
    proxy.corrupt = 1
    assert asked(wire, b"short") == b"short"
    data = bytes(2000)
    answer = asked(wire, data)
    assert sum(byte.bit_count() for byte in answer) == 1
    assert any(answer[1000:1800])
    assert asked(wire, data) == data
    assert proxy.corrupt == 0


def test_a_server_that_is_away_ends_the_connection() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with (
            ChaosProxy(unused.getsockname()[1]) as proxy,
            socket.create_connection(("127.0.0.1", proxy.port), timeout=60.0) as wire,
            suppress(ConnectionResetError),
        ):
            assert wire.recv(1) == b""
