"""The compose stack is pinned, complete, unprivileged, and its settings are ones that the programs accept."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from analytics_service.settings import Settings as ServiceSettings
from analytics_service.settings import read_settings as read_service
from edge_node.settings import EdgeSettings
from patchline.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
STACK: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
PROVISION = SERVICES["provision"]


def test_every_image_is_pinned_to_a_version() -> None:
    images = {service["image"] for service in SERVICES.values()}
    assert all(":" in image and not image.endswith(":latest") for image in images)


def test_every_mounted_file_is_in_the_repository() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service["volumes"] if mount.startswith("./")]
    assert mounts
    assert [mount for mount in mounts if not (ROOT / mount.split(":")[0]).exists()] == []


@pytest.mark.parametrize("name", ["broker", "analytics", "edge", "prometheus", "grafana"])
def test_everything_that_stays_is_healthchecked_and_comes_back(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_prometheus_gets_every_file_of_rules_that_it_is_told_to_load() -> None:
    rules = yaml.safe_load((ROOT / "dashboards/prometheus/prometheus.yml").read_text())["rule_files"]
    mounts = {mount.split(":")[1] for mount in SERVICES["prometheus"]["volumes"]}
    assert rules
    assert {f"/etc/prometheus/{name}" for name in rules} <= mounts


def test_grafana_finds_its_dashboards_where_they_are_mounted() -> None:
    provider = yaml.safe_load((ROOT / "dashboards/grafana/provisioning/dashboards/patchline.yml").read_text())
    place = provider["providers"][0]["options"]["path"]
    assert f"./dashboards/grafana/dashboards:{place}:ro" in SERVICES["grafana"]["volumes"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{place}/line.json"


def test_the_broker_is_reachable_from_the_compose_network_only() -> None:
    assert "ports" not in SERVICES["broker"]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The site that the stack's own `provision` makes, in a folder of the test's."""
    words = [word.replace("/site", str(tmp_path)) if "--out" in word else word for word in PROVISION["command"]]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return tmp_path


def test_every_program_finds_its_keys_where_its_volume_puts_them(site: Path) -> None:
    volumes = dict(mount.split(":")[:2] for mount in PROVISION["volumes"])
    settings: dict[str, EdgeSettings | ServiceSettings] = {
        "edge": EdgeSettings.load(ROOT / "compose/edge.toml"),
        "analytics": read_service(ROOT / "compose/analytics.toml"),
    }
    for name, one in settings.items():
        mounted = next(mount.split(":")[0] for mount in SERVICES[name]["volumes"] if mount.split(":")[1] == "/site")
        folder = site / Path(volumes[mounted]).relative_to("/site")
        tls = one.broker.tls
        assert tls is not None
        assert tls.minimum_version == "1.3"
        key = one.profile.verify_key if isinstance(one, EdgeSettings) else one.verify_key
        for path in (tls.ca, tls.certificate, tls.key, key):
            assert path is not None
            assert (folder / path.relative_to("/site")).is_file()


def test_the_broker_asks_everybody_for_a_certificate_and_finds_its_files(site: Path) -> None:
    lines = (site / "broker" / "mosquitto.conf").read_text().splitlines()
    assert {"allow_anonymous false", "require_certificate true", "tls_version tlsv1.3", "listener 8883"} <= set(lines)
    named = [line.split()[1] for line in lines if line.split()[:1] and "/mosquitto/config/" in line]
    assert len(named) == 5
    assert all((site / "broker" / Path(path).relative_to("/mosquitto/config")).is_file() for path in named)
    assert "persistence_location /mosquitto/data/" in lines


def test_the_authoritys_key_is_mounted_where_certificates_are_made_and_nowhere_else() -> None:
    holders = [name for name, each in SERVICES.items() if any(mount.startswith("site:") for mount in each["volumes"])]
    assert holders == ["provision"]
    assert PROVISION["network_mode"] == "none"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_runs_read_only_without_capabilities_and_with_a_limit(name: str) -> None:
    assert SERVICES[name]["mem_limit"]
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
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


def test_a_slow_computer_can_be_laid_over_the_stack() -> None:
    overlay = yaml.safe_load((ROOT / "compose/constrained.yml").read_text())
    assert overlay["services"].keys() == {"edge"} < STACK["services"].keys()
    edge = overlay["services"]["edge"]
    assert edge["cpus"] < STACK["services"]["edge"]["cpus"]
