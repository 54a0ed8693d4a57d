"""A site as `patchline provision` makes it, at work: broker, analytics service and one station as real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from broker_config.authority import Authority, utc_now
from broker_config.provision import provision, revoke
from broker_config.site import Site, authority_folder, folder_of
from broker_config.site_options import SiteOptions
from patchline.mqtt.settings import LinkSettings, Protocol, TlsSettings
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.category import write_category
from patchline.replay.broker import Broker, free_port
from patchline.wire.errors import UnavailableError
from patchline.wire.topics import Station, Topics
from tests.rigs.attacks.watcher import Watcher

TOP, SIDE, STOLEN = (Station("plant", "line-1", name) for name in ("top", "side", "stolen"))
"""A station that runs, one whose keys the attacker holds, and one that was stolen and revoked."""

PATIENCE_SECONDS = 30.0
_START_SECONDS = 90.0
_SMALL = ("--input-size", "64x64", "--parameter", "coreset_ratio=0.1")


@dataclass
class SiteUnderAttack:
    """Everything an attack needs; use it as a context manager.

    Args:
        folder: An empty folder for all of it.

    Attributes:
        topics: The site's tree.
        watcher: An honest witness with the operator's and a service's certificates.
    """

    folder: Path
    topics: Topics = field(default_factory=Topics)
    _running: ExitStack = field(default_factory=ExitStack)
    _links: int = 0

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            self._start(starting)
            self._running = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def tls_of(self, name: str) -> TlsSettings:
        """The keys of somebody of this site."""
        tls = folder_of(self.keys, self.site, name) / "tls"
        return TlsSettings(
            ca=tls / "ca.crt", certificate=tls / "client.crt", key=tls / "client.key", minimum_version="1.3"
        )

    def authority(self) -> Authority:
        """The site's own, for certificates that it should never have signed like this."""
        return Authority.open(authority_folder(self.keys))

    def log_of(self, program: str) -> str:
        """What a program has written so far: `serve`, `edge` or `broker`."""
        return (self.folder / f"{program}.log").read_text(encoding="utf-8", errors="replace")

    def service_peak_kilobytes(self) -> int:
        """The most memory the service has had so far (Linux)."""
        status = Path(f"/proc/{self._service.pid}/status").read_text(encoding="utf-8")
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])

    def command(self, *arguments: str, where: Path) -> subprocess.CompletedProcess[str]:
        """Run the `patchline` command in a folder and wait for it."""
        return subprocess.run(
            _command(*arguments), cwd=where, env=_environment(), capture_output=True, text=True, check=False
        )

    def watch(self, name: str, *filters: str, protocol: Protocol = "5", twin_of: str = "", claims: str = "") -> Watcher:
        """A link of somebody of this site that notes all it hears; ended with the site.

        Args:
            name: Whose keys it has.
            filters: What it listens to.
            protocol: MQTT version.
            twin_of: The client id it takes; one of its own by default.
            claims: The user name it gives beside its certificate.

        Raises:
            UnavailableError: The broker does not let it in.
        """
        self._links += 1
        settings = LinkSettings(
            port=self.port,
            client_id=twin_of or f"{name}-{self._links}",
            tls=self.tls_of(name),
            protocol=protocol,
            username=claims or None,
        )
        watcher = Watcher(settings, filters)
        self._running.callback(watcher.link.stop, 1.0)
        return watcher

    def _start(self, starting: ExitStack) -> None:
        self.keys, self.port = self.folder / "site", free_port()
        self.site = self._provision()
        self.broker = starting.enter_context(self._broker())
        self._commission()
        self._running = starting
        self.watcher = self.watch("operator", "vad/v1/#")
        self.recorder = self.watch("analytics", self.topics.every("frame", site="plant"))
        self.serve_folder = folder_of(self.keys, self.site, "analytics")
        self.edge_folder = folder_of(self.keys, self.site, str(TOP))
        self._service = self._program("serve", "--config", "analytics.toml", where=self.serve_folder)
        starting.callback(_end, self._service)
        starting.callback(_end, self._program("edge", "--config", "edge.toml", where=self.edge_folder))
        self.until(lambda: self.watcher.on(self.topics.of(TOP, "verdict")), _START_SECONDS)

    def until(self, condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until a condition holds.

        Raises:
            UnavailableError: It does not.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                logs = {name: self.log_of(name)[-600:] for name in ("serve", "edge") if self._has_log(name)}
                raise UnavailableError(f"did not happen within {seconds:.0f} s; {logs}")
            time.sleep(0.01)

    def _has_log(self, program: str) -> bool:
        return (self.folder / f"{program}.log").exists()

    def _provision(self) -> Site:
        stations = tuple(str(each) for each in (TOP, SIDE, STOLEN))
        options = SiteOptions(name="plant", hosts=("127.0.0.1",), stations=stations, port=self.port, listen="127.0.0.1")
        made = provision(self.keys, options, now=utc_now())
        revoke(self.keys, str(STOLEN), now=utc_now())
        return made.site

    def _broker(self) -> Broker:
        configuration = self.keys / "broker" / "mosquitto.conf"
        if os.geteuid() == 0:  # else Mosquitto would become a user who cannot see this folder
            configuration.write_text(configuration.read_text(encoding="utf-8") + "\nuser root\n", encoding="utf-8")
        return Broker(self.folder, kind="mosquitto", port=self.port, configuration=configuration)

    def _commission(self) -> None:
        pictures = self.folder / "washers"
        write_category(PRODUCTS["washer"], pictures, train=16, test_good=0, test_per_defect=0, size=(64, 64), seed=1)
        out = folder_of(self.keys, self.site, "analytics") / "artifacts"
        for station in (TOP, SIDE):
            key = self.keys / "signing" / "signing.key"
            words = ("commission", "--data", str(pictures), "--station", str(station), "--codec", "webp:80")
            done = self.command(*words, *_SMALL, "--signing-key", str(key), "--out", str(out), where=self.folder)
            if done.returncode:
                raise UnavailableError(f"the station cannot be commissioned: {done.stderr[-600:]}")

    def _program(self, *arguments: str, where: Path) -> subprocess.Popen[bytes]:
        with (self.folder / f"{arguments[0]}.log").open("wb") as log:
            return subprocess.Popen(
                _command(*arguments), cwd=where, env=_environment(), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "patchline", *arguments]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
