"""The TOML files a simulated line's programs are started with; a person can start the same programs with them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from patchline.mqtt.settings import Protocol
from patchline.replay.constraints import Terms
from patchline.replay.ledger import write_plan
from patchline.replay.scenario import Scenario, StationPlan

Table = Mapping[str, Any]

UNCONSTRAINED = Terms()
"""A station on this machine's own network, at its own speed."""


def analytics_file(scenario: Scenario, *, port: int, protocol: Protocol) -> Path:
    """Write the service's settings; returns the file."""
    folder = scenario.directory / "analytics"
    site = scenario.stations[0].station.split("/", 1)[0]
    return _write(
        folder / "analytics.toml",
        {
            "artifacts": scenario.artifacts.resolve(),
            "site": site,
            **_verified(scenario),
            "broker": {"port": port, "protocol": protocol},
            "worker": {"threads": scenario.backbone_threads, "maps": scenario.maps},
            "records": {"url": records_url(scenario)},
        },
    )


def records_url(scenario: Scenario) -> str:
    """Where the service of a run keeps its records."""
    return f"sqlite:///{(scenario.directory / 'analytics' / 'records.db').resolve()}"


def edge_file(
    scenario: Scenario,
    plan: StationPlan,
    *,
    port: int,
    protocol: Protocol,
    metrics_port: int,
    delay_seconds: float,
    terms: Terms = UNCONSTRAINED,
) -> Path:
    """Write a station's settings, and its plan where it replays pictures; returns the file of settings."""
    folder = edge_folder(scenario, plan)
    folder.mkdir(parents=True, exist_ok=True)
    source = dict(plan.source)
    if not source:
        write_plan(folder / "plan.jsonl", plan.entries)
        source = {"kind": "replay", "plan": (folder / "plan.jsonl").resolve()}
    return _write(
        folder / "edge.toml",
        {
            "station": plan.station,
            "finish_when_drained": True,
            "finish_seconds": scenario.grace_seconds,
            "source": source,
            "trigger": {"takt_seconds": scenario.takt_seconds, "delay_seconds": delay_seconds},
            "broker": {"host": terms.broker_host, "port": terms.broker_port or port, "protocol": protocol},
            "outbox": {"path": outbox_file(scenario, plan).resolve()},
            "gate": {"kind": "log", "deadline_seconds": scenario.deadline_seconds},
            "profile": {"directory": (folder / "profile").resolve(), **_verified(scenario)},
            "metrics": {"port": metrics_port, "host": terms.metrics_host},
        },
    )


def edge_folder(scenario: Scenario, plan: StationPlan) -> Path:
    """Everything a station keeps."""
    return scenario.directory / "stations" / plan.slug


def outbox_file(scenario: Scenario, plan: StationPlan) -> Path:
    """A station's outbox, with its journal."""
    return edge_folder(scenario, plan) / "outbox.sqlite"


def _verified(scenario: Scenario) -> Table:
    """Whose signature the program asks for."""
    return {} if scenario.verify_key is None else {"verify_key": scenario.verify_key.resolve()}


def _write(path: Path, settings: Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(toml(settings), encoding="utf-8")
    return path


def toml(settings: Table) -> str:
    """Settings as TOML: plain values first, then one table for each mapping."""
    lines = [f"{key} = {_value(value)}" for key, value in settings.items() if not isinstance(value, Mapping)]
    for key, table in settings.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{key}]", *(f"{name} = {_value(value)}" for name, value in table.items())]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
