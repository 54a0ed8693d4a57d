"""Fixtures of the wire: links that record what happens, a cable to cut, a scripted broker, certificates."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest

from line_replay.broker import Broker
from wire_contract.link.delivery import Acknowledged, Connection, Delivery
from wire_contract.link.link import Link
from wire_contract.link.settings import LinkSettings, Subscription, Will


class RecordedLink:
    """A link whose callbacks are lists. `on_delivery` may be replaced by a test."""

    def __init__(self, settings: LinkSettings, subscriptions: Sequence[str], will: Will | None) -> None:
        self.deliveries: list[Delivery] = []
        self.connections: list[Connection] = []
        self.losses: list[str] = []
        self.fates: list[Acknowledged] = []
        self.on_delivery: Callable[[Delivery], None] = lambda _delivery: None
        self.on_connected: Callable[[Connection], None] = lambda _connection: None
        self.link = Link(
            settings,
            will=will,
            subscriptions=[Subscription(topic_filter) for topic_filter in subscriptions],
            on_delivery=self._delivered,
            on_connected=self._connected,
            on_disconnected=self.losses.append,
        )

    def publish(self, topic: str, payload: bytes = b"x", **options: Any) -> None:
        self.link.publish(topic, payload, on_done=self.fates.append, **options)

    def payloads(self) -> list[bytes]:
        return [delivery.payload for delivery in self.deliveries]

    def _delivered(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self.on_delivery(delivery)

    def _connected(self, connection: Connection) -> None:
        self.connections.append(connection)
        self.on_connected(connection)


MakeLink = Callable[..., RecordedLink]


@pytest.fixture
def make_link() -> Iterator[MakeLink]:
    """`make_link(port, *filters, will=None, connect=True, **settings)`: a link, started, and connected unless told."""
    made: list[RecordedLink] = []

    def make(
        port: int,
        *subscriptions: str,
        will: Will | None = None,
        connect: bool = True,
        prepare: Callable[[RecordedLink], None] = lambda _recorded: None,
        **settings: Any,
    ) -> RecordedLink:
        settings.setdefault("client_id", f"test-{len(made)}")
        recorded = RecordedLink(LinkSettings(port=port, **settings), subscriptions, will)
        made.append(recorded)
        prepare(recorded)
        recorded.link.start()
        if connect and not recorded.link.wait_connected(60.0):
            pytest.fail(f"not connected: {recorded.losses}")
        return recorded

    yield make
    for recorded in made:
        recorded.link.stop(2.0)


class Cable:
    """A TCP relay to a broker whose connections can be cut, as a pulled plug would."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def cut(self) -> None:
        """Break every connection that runs now; new ones are relayed."""
        broken, self._sockets = self._sockets, []
        for end in broken:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(60.0)

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target_port))
            self._sockets += [near, far]
            self._start(self._relay, near, far)
            self._start(self._relay, far, near)

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with source:
            try:
                while data := source.recv(65_536):
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


@pytest.fixture
def cable(mosquitto: Broker) -> Iterator[Cable]:
    """A cable to the test's Mosquitto."""
    laid = Cable(mosquitto.port)
    yield laid
    laid.close()


@pytest.fixture
def scripted_broker() -> Iterator[Callable[[Sequence[bytes]], int]]:
    """`scripted_broker(answers) -> port`: answers each packet of a connection with the next bytes, then is silent."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(listener: socket.socket, answers: Sequence[bytes]) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(ConnectionResetError):  # a client that has read enough hangs up
                for answer in answers:
                    if not connection.recv(65_536):
                        break
                    connection.sendall(answer)
                while connection.recv(65_536):
                    continue

    def start(answers: Sequence[bytes]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threads.append(threading.Thread(target=serve, args=(listener, answers), daemon=True))
        threads[-1].start()
        port: int = listener.getsockname()[1]
        return port

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.fixture(scope="session")
def strangers(authority: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An authority that nobody in the plant trusts."""
    return type(authority)(tmp_path_factory.mktemp("certificates") / "strangers")


@pytest.fixture
def configured_mosquitto(mosquitto: Broker) -> Callable[[str], Broker]:
    """`configured_mosquitto(lines)`: the test's Mosquitto, restarted with further lines in its configuration."""

    def configure(lines: str) -> Broker:
        path = mosquitto.log.with_name("mosquitto.conf")
        kept = [line for line in path.read_text().splitlines() if line.split(" ")[0] not in lines.split()]
        configuration = path.with_name("further.conf")
        configuration.write_text("\n".join([*kept, lines, ""]))
        mosquitto.configuration = configuration
        mosquitto.restart()
        return mosquitto

    return configure
