"""A PostgreSQL of a run's own, on a socket and a port that nobody else has."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from patchline.replay.broker import free_port
from patchline.wire.errors import UnavailableError

_PATIENCE_SECONDS = 30.0
_ACCOUNT = "postgres"
"""PostgreSQL refuses to be run by root, so root lends it this account."""
_LOCALE = ("-E", "UTF8", "--locale=C")


def _programs() -> Path | None:
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


def why_not() -> str:
    """Why there can be no PostgreSQL here; empty where there can."""
    if _programs() is None:
        return "PostgreSQL is not installed (apt install postgresql)"
    try:
        import psycopg  # noqa: F401, PLC0415 - an extra
    except ModuleNotFoundError:
        return "psycopg is not installed (pip install 'patchline[postgres]')"
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        return "PostgreSQL refuses to run as root, and there is no runuser"
    return ""


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """An empty database while inside; its SQLAlchemy URL.

    Raises:
        UnavailableError: It cannot be made or does not start.
    """
    programs = _programs()
    if programs is None:
        raise UnavailableError(why_not())
    lent = ["runuser", "-u", _ACCOUNT, "--"] if os.geteuid() == 0 else []
    _lend(folder, to_account=bool(lent))
    data, port = folder / "data", free_port()
    made = [*lent, str(programs / "initdb"), *("-D", str(data)), *("-A", "trust"), *("-U", "patchline"), *_LOCALE]
    done = subprocess.run(made, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode:
        raise UnavailableError(f"initdb: {done.stderr.strip()[-400:]}")
    where = ("-p", str(port), "-k", str(folder), "-h", "127.0.0.1")
    command = [*lent, str(programs / "postgres"), *("-D", str(data)), *where]
    with (folder.with_suffix(".log")).open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/")
    url = f"postgresql+psycopg://patchline@127.0.0.1:{port}/postgres"
    try:
        _await(url, process)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _lend(folder: Path, *, to_account: bool) -> None:
    """Make the folder; the account gets it, and may pass through everything above it."""
    folder.mkdir(parents=True)
    if not to_account:
        return
    shutil.chown(folder, _ACCOUNT)
    for parent in folder.parents:
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)


def _await(url: str, process: "subprocess.Popen[bytes]") -> None:
    import psycopg  # noqa: PLC0415 - an extra

    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            psycopg.connect(url.replace("+psycopg", "")).close()
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise UnavailableError(f"PostgreSQL did not start: {error}") from error
            time.sleep(0.1)
        else:
            return
