"""The compose stack is pinned, complete, unprivileged, and its settings are ones that the programs accept."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from analytics_service.settings import read_settings as read_service
from edge_node.settings import EdgeSettings

ROOT = Path(__file__).resolve().parents[2]
STACK: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = STACK["services"]


def test_every_image_is_pinned_to_a_version() -> None:
    images = {service["image"] for service in SERVICES.values()}
    assert all(":" in image and not image.endswith(":latest") for image in images)


def test_every_mounted_file_is_in_the_repository() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service["volumes"] if mount.startswith("./")]
    assert mounts
    assert [mount for mount in mounts if not (ROOT / mount.split(":")[0]).exists()] == []


def test_the_anonymous_broker_is_reachable_from_the_compose_network_only() -> None:
    assert "ports" not in SERVICES["broker"]


@pytest.mark.parametrize("name", ["broker", "commission", "analytics", "edge"])
def test_a_service_that_reads_foreign_bytes_runs_read_only_and_without_capabilities(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["cap_drop"] == ["ALL"]


def test_the_settings_of_the_stack_are_ones_the_programs_accept() -> None:
    edge = EdgeSettings.load(ROOT / "compose/edge.toml")
    service = read_service(ROOT / "compose/analytics.toml")
    assert edge.broker.host == service.broker.host == "broker"
    assert f"edge:{edge.metrics.port}" in (ROOT / "dashboards/prometheus/prometheus.yml").read_text()
    assert f"analytics:{service.metrics_port}" in (ROOT / "dashboards/prometheus/prometheus.yml").read_text()


def test_compose_itself_accepts_the_stack() -> None:
    plugin = ["docker", "compose"]
    known = shutil.which("docker") and subprocess.run([*plugin, "version"], capture_output=True, check=False)
    command = plugin if known and known.returncode == 0 else ["docker-compose"]
    if shutil.which(command[0]) is None:
        pytest.skip("neither `docker compose` nor `docker-compose` is installed")
    done = subprocess.run([*command, "config", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
