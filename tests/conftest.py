"""Fixtures of every room: a real broker, a station of the test's own, the real pictures and weights where they are."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from patchline.replay.broker import Broker, find_mosquitto
from patchline.wire.topics import Station

pytest_plugins = ["tests.fixtures.commissioned_plant", "tests.fixtures.links", "tests.fixtures.postgresql"]

Eventually = Callable[..., None]

PATIENCE_SECONDS = 60.0
"""Nothing that is waited for takes a second where nobody else works; a busy machine is no reason to fail."""

settings.register_profile("without deadlines", deadline=None)
settings.load_profile("without deadlines")


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    """A Mosquitto of the test's own on a free port of loopback; `kill()` and `restart()` are part of the fixture."""
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed (apt install mosquitto)")
    with Broker(tmp_path / "broker", kind="mosquitto") as broker:
        yield broker


@pytest.fixture
def station(request: pytest.FixtureRequest) -> Station:
    """A station named after the test."""
    module = request.node.path.stem
    levels = (re.sub(r"[^A-Za-z0-9_-]+", "-", level)[-64:] for level in (module, request.node.name))
    return Station("test", *levels)


@pytest.fixture
def unique_topic(station: Station) -> str:
    """A topic named after the test."""
    return f"vad/test/{station}"


@pytest.fixture
def eventually() -> Eventually:
    """`eventually(condition)`: poll until the condition holds, or fail; never sleep and hope."""

    def wait_for(condition: Callable[[], object], within_seconds: float = PATIENCE_SECONDS) -> None:
        deadline = time.monotonic() + within_seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"did not happen within {within_seconds} seconds")
            time.sleep(0.005)

    return wait_for


class Authority:
    """A certificate authority of the openssl program, and what it signs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self.certificate = directory / "ca.crt"
        self._key = directory / "ca.key"
        request = [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            "/CN=test authority",
            "-days",
            "30",
        ]
        self._openssl(*request, "-keyout", str(self._key), "-out", str(self.certificate))

    def sign(self, name: str, *, days: int = 30, host: str = "IP:127.0.0.1,DNS:localhost") -> tuple[Path, Path]:
        """A certificate for a common name, and its key; a negative number of days makes one that has expired."""
        stem, subject = name.replace("/", "-"), name.replace("/", "\\/")
        certificate, key, wish = (self.directory / f"{stem}.{ending}" for ending in ("crt", "key", "csr"))
        self._openssl(
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            f"/CN={subject}",
            "-keyout",
            str(key),
            "-out",
            str(wish),
        )
        extensions = self.directory / f"{stem}.ext"
        extensions.write_text(f"subjectAltName={host}\nbasicConstraints=CA:FALSE\n")
        signing = ["x509", "-req", "-in", str(wish), "-CA", str(self.certificate), "-CAkey", str(self._key)]
        self._openssl(
            *signing, "-CAcreateserial", "-days", str(days), "-extfile", str(extensions), "-out", str(certificate)
        )
        return certificate, key

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The plant's certificate authority."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl program is not installed")
    return Authority(tmp_path_factory.mktemp("certificates") / "plant")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures, with `mvtec_ad` in it."""
    return _folder_in("PATCHLINE_DATA", "the real pictures")


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """The folder of ImageNet backbones."""
    return _folder_in("PATCHLINE_WEIGHTS", "the ImageNet backbones")


def _folder_in(variable: str, what: str) -> Path:
    """The first existing folder of a path list in the environment, or a skip that says what is missing."""
    for place in os.environ.get(variable, "").split(os.pathsep):
        if place and Path(place).is_dir():
            return Path(place)
    pytest.skip(f"{variable} does not name the folder of {what}")
