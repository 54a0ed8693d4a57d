"""A line of real processes with drawn parts, and a real Prometheus that scrapes it with the repository's own files."""

import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from patchline.replay.broker import Broker, free_port
from patchline.replay.processes import Program
from patchline.replay.settings_files import toml
from patchline.wire.errors import MisconfiguredError, UnavailableError

RULES = Path(__file__).resolve().parents[3] / "dashboards" / "prometheus"
SITE = "plant/line-1"
STATIONS = {"washers": "washer", "boards": "board"}
TAKT_SECONDS = 1.0
_START_SECONDS = 120.0


class WatchedLine:
    """Two stations, a broker, a service and Prometheus.

    Args:
        folder: For everything of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._prometheus = shutil.which("prometheus")
        if self._prometheus is None:
            raise MisconfiguredError("prometheus is not installed", remedy="apt install prometheus")
        self._broker = Broker(folder / "broker")
        self._ports = {name: free_port() for name in ("analytics", "prometheus", *STATIONS)}

    @property
    def address(self) -> str:
        """Where Prometheus answers."""
        return f"http://127.0.0.1:{self._ports['prometheus']}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Draw, commission and start everything; end it all in the opposite order."""
        for name, product in STATIONS.items():
            self._commission(name, product)
        with ExitStack() as stack:
            stack.enter_context(self._broker)
            service = self._program("analytics", "serve", self._service_file())
            stack.callback(service.stop)
            service.start()
            self._await(f"http://127.0.0.1:{self._ports['analytics']}/readyz")
            stack.callback(_end, self._start_prometheus())
            for name, product in STATIONS.items():
                edge = self._program(name, "edge", self._edge_file(name, product))
                stack.callback(edge.stop)
                edge.start()
            for name in STATIONS:
                self._await(f"http://127.0.0.1:{self._ports[name]}/readyz")
            yield

    def _commission(self, name: str, product: str) -> None:
        pictures = self._folder / "pictures" / name
        draw = ("draw", "--product", product, "--train", "60", "--seed", "1", "--out", str(pictures))
        learn = ("commission", "--data", str(pictures), "--station", f"{SITE}/{name}", "--codec", "webp:80")
        for arguments in (draw, (*learn, "--out", str(self._folder / "artifacts"))):
            program = self._program(f"{arguments[0]}-{name}", *arguments)
            program.start()
            deadline = time.monotonic() + _START_SECONDS
            while program.running and time.monotonic() < deadline:
                time.sleep(0.1)
            program.check()

    def _program(self, name: str, verb: str, *arguments: str) -> Program:
        given = ("--config", *arguments) if verb in {"serve", "edge"} else arguments
        return Program(name, [verb, *given], self._folder / "logs" / f"{name}.log", {"OMP_NUM_THREADS": "1"})

    def _service_file(self) -> str:
        settings = {
            "artifacts": self._folder / "artifacts",
            "metrics_port": self._ports["analytics"],
            "broker": {"port": self._broker.port, "protocol": self._broker.protocol},
            "records": {"url": f"sqlite:///{self._folder / 'records.db'}", "grace_seconds": 30},
        }
        return self._written("analytics.toml", toml(settings))

    def _edge_file(self, name: str, product: str) -> str:
        settings = {
            "station": f"{SITE}/{name}",
            "source": {"kind": "synthetic", "product": product, "seed": 7, "defect_share": 0.1},
            "trigger": {"takt_seconds": TAKT_SECONDS},
            "broker": {"port": self._broker.port, "protocol": self._broker.protocol},
            "outbox": {"path": self._folder / f"{name}.sqlite"},
            "profile": {"directory": self._folder / f"{name}-profile"},
            "metrics": {"port": self._ports[name]},
        }
        return self._written(f"{name}.toml", toml(settings))

    def _start_prometheus(self) -> subprocess.Popen[bytes]:
        """With the repository's configuration and rules; only the targets are this line's."""
        configuration = yaml.safe_load((RULES / "prometheus.yml").read_text(encoding="utf-8"))
        targets = {
            "vad_analytics": [{"targets": [f"127.0.0.1:{self._ports['analytics']}"]}],
            "vad_edge": [
                {"targets": [f"127.0.0.1:{self._ports[name]}"], "labels": {"station": f"{SITE}/{name}"}}
                for name in STATIONS
            ],
        }
        for job in configuration["scrape_configs"]:
            job["static_configs"] = targets[job["job_name"]]
        configuration["rule_files"] = [str(RULES / name) for name in configuration["rule_files"]]
        file = self._written("prometheus.yml", yaml.safe_dump(configuration))
        assert self._prometheus is not None
        with (self._folder / "logs" / "prometheus.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    self._prometheus,
                    f"--config.file={file}",
                    f"--storage.tsdb.path={self._folder / 'tsdb'}",
                    f"--web.listen-address=127.0.0.1:{self._ports['prometheus']}",
                ],
                stdout=log,
                stderr=log,
            )
        self._await(f"{self.address}/-/ready")
        return process

    def _written(self, name: str, content: str) -> str:
        path = self._folder / name
        path.write_text(content, encoding="utf-8")
        return str(path)

    def _await(self, address: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(address, timeout=2):
                    return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise UnavailableError(f"{address} does not answer: {error}") from error
                time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(_START_SECONDS)
