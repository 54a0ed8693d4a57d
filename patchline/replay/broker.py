"""A broker as a real process that can be killed and brought back: Mosquitto where installed, else amqtt."""

import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from broker_config.demo import write_configuration
from patchline.mqtt.settings import Protocol
from patchline.wire.errors import MisconfiguredError, UnavailableError

BrokerKind = Literal["mosquitto", "amqtt"]

_START_TIMEOUT_SECONDS = 20.0
_STOP_TIMEOUT_SECONDS = 5.0
_VERSION_TIMEOUT_SECONDS = 5.0
_POLL_SECONDS = 0.02
_LOWEST_PORT, _PORTS = 20_000, 12_000
_PORTS_TRIED = 100
# Debian puts Mosquitto where only root's PATH looks.
_EXTRA_PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")


def find_mosquitto() -> str | None:
    """The Mosquitto program on this machine, if there is one."""
    found = shutil.which("mosquitto")
    for place in _EXTRA_PLACES:
        found = found or shutil.which("mosquitto", path=place)
    return found


def find_kind() -> BrokerKind:
    """Which broker this machine can run.

    Raises:
        MisconfiguredError: None.
    """
    if find_mosquitto() is not None:
        return "mosquitto"
    if find_spec("amqtt") is not None:
        return "amqtt"
    raise MisconfiguredError(
        "there is no MQTT broker on this machine",
        remedy="install Mosquitto (apt install mosquitto), or the embedded one: pip install 'patchline[analytics]'",
    )


def free_port() -> int:
    """A free TCP port of loopback that no outgoing connection is given meanwhile.

    Below the range that systems take the ports of outgoing connections from (32768 on Linux, 49152 elsewhere): else
    one of them may sit on the port of a broker that was killed, and the broker could not come back.

    Raises:
        UnavailableError: There is none.
    """
    for _ in range(_PORTS_TRIED):
        port = _LOWEST_PORT + secrets.randbelow(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise UnavailableError(f"none of {_PORTS_TRIED} ports from {_LOWEST_PORT} on is free")


class Broker:
    """A broker process on loopback; started by `with` or `start`.

    Args:
        directory: For its configuration and its log; made if it is missing.
        kind: Which program; by default what the machine has.
        port: Where to listen; by default a free port.
        configuration: A Mosquitto configuration of the caller's own, which listens on `port`; may be set until `start`.

    Attributes:
        addresses: Where Mosquitto listens beside loopback; may be set until `start`.
        protocol: The newest MQTT version it speaks.
        log: What the process has written.

    Raises:
        MisconfiguredError: There is no broker on this machine.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        directory: Path,
        *,
        kind: BrokerKind | None = None,
        port: int | None = None,
        configuration: Path | None = None,
    ) -> None:
        self.kind: BrokerKind = kind or find_kind()
        self.protocol: Protocol = "5" if self.kind == "mosquitto" else "3.1.1"
        self.port = port or free_port()
        self.log = directory / "broker.log"
        self._directory = directory
        self.configuration = configuration
        self.addresses: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> int:
        """Of the running process.

        Raises:
            UnavailableError: It does not run.
        """
        if self._process is None:
            raise UnavailableError(f"{self.kind} does not run")
        return self._process.pid

    def start(self) -> None:
        """Start the process and wait until it accepts connections.

        Raises:
            MisconfiguredError: The broker of this kind is not installed.
            UnavailableError: It ended or did not accept connections in time; its log says why.
        """
        command = self._command()
        if self._accepts():
            raise UnavailableError(f"somebody else listens on port {self.port} already")
        self._directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)  # noqa: S603 - our own argument list
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
                raise UnavailableError(f"{self.kind} did not start on port {self.port}: {' / '.join(lines)}")
            time.sleep(_POLL_SECONDS)

    def kill(self) -> None:
        """End the process with SIGKILL, as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the process as an operator would."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Start again on the same port, after `kill` or `stop`, or instead of them.

        Raises:
            UnavailableError: It does not come back.
        """
        self.stop()
        self.start()

    def suspend(self) -> None:
        """Stop the process without ending its connections, as a half-open link would look."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a suspended process go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def reload(self) -> None:
        """Let it read its access list, certificates and most of its configuration again (SIGHUP; Mosquitto)."""
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resume()
        self.stop()

    def _command(self) -> list[str]:
        if self.kind == "amqtt":
            return [sys.executable, "-m", "patchline.replay.embedded_broker", "--port", str(self.port)]
        program = find_mosquitto()
        if program is None:
            raise MisconfiguredError("mosquitto is not installed", remedy="apt install mosquitto")
        configuration = self.configuration or write_configuration(self._directory, self.port, self.addresses)
        return [program, "-c", str(configuration)]

    def _accepts(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1.0):
                return True
        except OSError:
            return False

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(_STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def broker_version(kind: BrokerKind) -> str:
    """Such as `mosquitto 2.0.11`; the name alone where the version is unknown."""
    try:
        version = metadata.version("amqtt") if kind == "amqtt" else _mosquitto_version()
    except (OSError, subprocess.SubprocessError, metadata.PackageNotFoundError, IndexError):
        return kind
    return f"{kind} {version}"


def _mosquitto_version() -> str:
    command = [find_mosquitto() or "mosquitto", "-h"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_VERSION_TIMEOUT_SECONDS)  # noqa: S603 - our own argument list
    return answer.stdout.split("version", 1)[1].split()[0]
