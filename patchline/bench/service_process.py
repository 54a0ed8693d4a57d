"""The analytics service that a benchmark measures: a real process, up as long as the measuring takes."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from patchline.replay.processes import Program
from patchline.replay.settings_files import toml
from patchline.wire.errors import UnavailableError

_START_SECONDS = 120.0
_CONNECTED = re.compile(r"(?<!not )\bconnected, ")
"""As the service logs it; what it could not connect to it logs as not connected."""


@contextmanager
def service_of(folder: Path, settings: Mapping[str, Any]) -> Iterator[Program]:
    """The service, connected to its broker while inside, and stopped whatever happens.

    Args:
        folder: Where its settings and its log go.
        settings: What its `analytics.toml` says.

    Raises:
        UnavailableError: It does not start.
    """
    file, log = folder / "analytics.toml", folder / "service.log"
    file.write_text(toml(settings), encoding="utf-8")
    service = Program("service", ["serve", "--config", str(file)], log, {"OMP_NUM_THREADS": "1"})
    try:
        service.start()
        deadline = time.monotonic() + _START_SECONDS
        while not _CONNECTED.search(log.read_text(encoding="utf-8") if log.exists() else ""):
            service.check()
            if time.monotonic() > deadline:
                raise UnavailableError(f"the service did not start: {service.last_words()}")
            time.sleep(0.1)
        yield service
    finally:
        service.stop()
