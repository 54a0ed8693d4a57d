"""The settings files of a torture's programs: those of a real line, with shorter patience."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from broker_config.demo import write_configuration
from patchline.replay.broker import Broker
from patchline.replay.settings_files import toml
from tests.rigs.torture.ground import STATION
from tests.rigs.torture.needs import Needs

PATIENCE_SECONDS = 90.0
KEEPALIVE_SECONDS = 2
"""A silent connection is given up within twice this; a line at work has 15."""

TAKT_SECONDS = 0.06
_DEADLINE_SECONDS = 1.0
_FIRST_RESEND_SECONDS = 0.5


def write_station(
    folder: Path, needs: Needs, *, broker: Mapping[str, Any], tls: Mapping[str, Any] | None, outbox: Path
) -> None:
    """Write `station/edge.toml` of a line."""
    table: dict[str, Any] = {
        "station": str(STATION),
        "finish_when_drained": True,
        "finish_seconds": PATIENCE_SECONDS,
        "source": {"kind": "replay", "plan": folder / "plan.jsonl"},
        "trigger": {"takt_seconds": TAKT_SECONDS},
        "broker": {"keepalive_seconds": KEEPALIVE_SECONDS, **broker},
        "send": {"first_resend_seconds": _FIRST_RESEND_SECONDS},
        "outbox": {"path": outbox, "budget_bytes": needs.budget_bytes},
        "gate": {"kind": "log", "deadline_seconds": _DEADLINE_SECONDS},
        "profile": {"directory": folder / "station" / "profile"},
    }
    _write(folder / "station" / "edge.toml", table, tls)


def write_service(
    folder: Path, number: int, *, artifacts: Path, port: int, tls: Mapping[str, Any] | None, group: str, records: str
) -> Path:
    """Write the settings of one of the services of a line; returns the file."""
    table: dict[str, Any] = {
        # On a provisioned site a service may write the state of its own name only.
        "name": "analytics" if tls else f"worker-{number}",
        "site": STATION.site,
        "artifacts": artifacts,
        "shared_group": group,
        "broker": {"port": port, "keepalive_seconds": KEEPALIVE_SECONDS},
        "worker": {"maps": "none"},
        "records": {"url": records},
    }
    return _write(folder / f"service-{number}" / "analytics.toml", table, tls)


def configure(broker: Broker, folder: Path, lines: Sequence[str]) -> None:
    """Give a broker more lines of configuration; it reads them at its next start."""
    base = write_configuration(folder, broker.port, broker.addresses)
    names = {line.split()[0] for line in lines}
    written = base.read_text(encoding="utf-8").splitlines()
    kept = [line for line in written if not line or line.split()[0] not in names]
    path = base.with_name("torture.conf")
    path.write_text("\n".join([*kept, *lines, ""]), encoding="utf-8")
    broker.configuration = path


def _write(path: Path, table: Mapping[str, Any], tls: Mapping[str, Any] | None) -> Path:
    lines = [f"{name} = {json.dumps(str(value))}" for name, value in (tls or {}).items()]
    keys = "\n".join(["", "[broker.tls]", *lines, ""]) if lines else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(toml(table) + keys, encoding="utf-8")
    return path
