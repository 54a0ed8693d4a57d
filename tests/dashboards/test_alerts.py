"""Each alarm fires when it should and is silent when all is well, and the runbook says what to do about it."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from analytics_service.metrics import Metrics
from dashboards.metrics_page import families
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.rows import OutboxState
from patchline.cli.verbs import load
from patchline.vision.pixels.picture_health import PictureHealth
from patchline.wire.messages import Command, CommandName

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "dashboards" / "prometheus"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
TESTS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
RUNBOOK = ROOT / "docs" / "how-to" / "alarms.md"


def promtool(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (apt install prometheus)")
    done = subprocess.run([program, *arguments], input=given, capture_output=True, check=False, cwd=ROOT)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def metrics_in_use() -> dict[str, bytes]:
    """What the two programs answer at /metrics once they have worked."""
    edge, service = EdgeMetrics(), Metrics(CollectorRegistry())
    edge.watch_outbox(lambda: OutboxState(rows=1, bytes=10, budget_bytes=100, oldest_captured_at=None))
    edge.payload_bytes.labels("webp:80").observe(4000)
    edge.stage_seconds.labels("encode").observe(0.01)
    edge.observe_picture(PictureHealth(0.4, 300.0, 0.01))
    edge.show_profile("plant/line/cam", "f" * 64, "webp:80")
    service.score_ratio.labels("plant/line/cam", "webp:80").observe(0.7)
    service.payload_bytes.labels("webp:80").observe(4000)
    service.stage_seconds.labels("embed").observe(0.02)
    service.show_unaccounted("plant/line/cam", 0)
    service.watch_queue(lambda: 0, lambda: 0)
    return {"STATION": generate_latest(edge.registry), "SERVICE": generate_latest(service.registry)}


def test_promtool_plays_every_alarm() -> None:
    done = promtool("test", "rules", str(FOLDER / "alerts_test.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_its_configuration_and_the_rules_it_loads() -> None:
    done = promtool("check", "config", str(FOLDER / "prometheus.yml"))
    assert done.returncode == 0, done.stderr
    assert f"{len(RULES)} rules found" in done.stdout


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alarm_is_played_firing_and_silent(rule: dict[str, Any]) -> None:
    played = [one for test in TESTS for one in test["alert_rule_test"] if one["alertname"] == rule["alert"]]
    assert [bool(one["exp_alerts"]) for one in played] == [True, False]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alarm_has_its_paragraph_in_the_runbook(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert ROOT / page == RUNBOOK
    assert anchor == rule["alert"].lower()
    assert f"### {rule['alert']}\n" in RUNBOOK.read_text()
    assert rule["labels"]["severity"] in {"critical", "warning"}


def paragraph_of(alarm: str) -> str:
    """What the runbook says under an alarm's name; one that says "as above" has its predecessor's commands, too."""
    page = RUNBOOK.read_text()
    above, _, rest = page.partition(f"### {alarm}\n")
    own = rest.partition("\n#")[0]
    return own if "As above" not in own else f"{own}\n{above.rpartition('### ')[2]}"


CAMERA = {"CameraOutOfFocus", "CameraLightChanged", "CapturePaused", "CertificateExpiresNow"}
"""What a hand or a person is asked for first, or the alarm before says."""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_the_first_action_is_a_command_of_a_program_that_exists(rule: dict[str, Any]) -> None:
    commands = re.findall(
        r"`((?:curl|patchline|systemctl|journalctl|mosquitto_sub|df) [^`]+)`", paragraph_of(rule["alert"])
    )
    assert commands or rule["alert"] in CAMERA
    for words in (command.split() for command in commands):
        if words[0] == "patchline":
            verb = load(words[1])
            options = {name for each in getattr(verb, "commands", {}).get(words[2], verb).params for name in each.opts}
            assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_what_the_runbook_greps_for_is_among_the_metrics(rule: dict[str, Any]) -> None:
    exposed = metrics_in_use()
    for machine, pattern in re.findall(
        r'(STATION|SERVICE):\d+/metrics \| grep (?:-E )?"?([^`"]+)', paragraph_of(rule["alert"])
    ):
        assert re.search(pattern, exposed[machine].decode())


def test_the_commands_to_a_station_are_ones_it_obeys() -> None:
    told = re.findall(r"/command -m '([^']+)'", RUNBOOK.read_text())
    assert [msgspec.json.decode(each, type=Command).name for each in told] == list(get_args(CommandName))


def test_alarms_ask_only_for_series_that_exist() -> None:
    known = {family.name for _, found in families() for family in found}
    asked = {name for rule in RULES for name in re.findall(r"\bvad_[a-z_]+", rule["expr"])} - {"vad_"}
    stems = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked}
    assert stems - known == set()


def test_promtool_has_nothing_to_say_about_the_metrics_of_either_side() -> None:
    for exposed in metrics_in_use().values():
        done = promtool("check", "metrics", given=exposed)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("metrics", [EdgeMetrics(), Metrics(CollectorRegistry())], ids=["edge", "service"])
def test_counters_begin_at_zero_so_that_the_first_step_is_seen(metrics: EdgeMetrics | Metrics) -> None:
    held = {name: value for name, value in vars(metrics).items() if type(value).__name__ == "Counter"}
    unseen = {name for name, counter in held.items() if not next(iter(counter.collect())).samples}
    assert unseen <= {"unreadable"} if isinstance(metrics, EdgeMetrics) else unseen == set()
