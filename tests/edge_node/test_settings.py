"""Settings: what is wrong is said with file, key and remedy."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from edge_node.app import check
from edge_node.capture.sources import SOURCES
from edge_node.gate.gates import GATES
from edge_node.outbox.outbox import Outbox
from edge_node.settings import EdgeSettings
from patchline.wire.errors import MisconfiguredError

GOOD = """
station = "plant/line1/cam1"

[source]
kind = "synthetic"
product = "washer"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "edge.toml"


def load(file: Path, text: str) -> EdgeSettings:
    file.write_text(text)
    return EdgeSettings.load(file)


def test_the_smallest_file_is_enough(file: Path) -> None:
    settings = load(file, GOOD)
    assert (settings.station, settings.source.kind, settings.gate.kind) == ("plant/line1/cam1", "synthetic", "log")
    assert settings.broker.port == 1883
    check(settings)


def test_the_environment_goes_before_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATCHLINE_EDGE_BROKER__HOST", "broker.plant")
    monkeypatch.setenv("PATCHLINE_EDGE_STATION", "plant/line1/cam2")
    monkeypatch.setenv("PATCHLINE_EDGE_BROKER__PASSWORD", "hush")
    settings = load(file, GOOD + '[broker]\nhost = "elsewhere"\nport = 1884\n')
    assert (settings.broker.host, settings.broker.port, settings.station) == ("broker.plant", 1884, "plant/line1/cam2")
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    ("addition", "message"),
    [
        ("[brokr]\nport = 1\n", r"there is no setting brokr .*edge\.toml: brokr\); did you mean broker\?"),
        ("[broker]\nprot = 1\n", r"there is no setting broker\.prot .*did you mean broker\.port\?"),
        (
            '[gate]\nkind = "mqtt"\ntopc = "x"\n',
            r"there is no setting gate\.topc .*did you mean gate\.topic\? \(1 more to mend",
        ),
        ('[gate]\nkind = "hammer"\n', r"there is no gate\.kind 'hammer' .*choose from log, mqtt, http, gpio"),
        ('[gate]\nurl = "http://gate"\n', r"there is no setting gate\.url .*it belongs to another gate\.kind"),
        ('[broker]\nhost = "mqtt://plant:1883"\n', r"not a host name or address .*write host = 'plant'"),
        ('[broker]\nhost = "plant:1883"\n', r"not a host name or address .*write host = 'plant'"),
        ('[broker]\nhost = "[::1]"\n', r"not a host name or address .*write host = '::1'"),
        ("[broker]\nport = 0\n", r"broker\.port: Input should be greater than or equal to 1"),
        ("[gate]\ndeadline_seconds = -1\n", r"gate\.deadline_seconds: Input should be greater than 0"),
        ("[outbox]\nbudget_bytes = 5\n", r"outbox\.budget_bytes"),
    ],
)
def test_a_wrong_key_is_named_with_what_was_meant(file: Path, addition: str, message: str) -> None:
    with pytest.raises(MisconfiguredError, match=message):
        load(file, GOOD + addition)


@pytest.mark.parametrize(
    ("addition", "message"),
    [
        ('[gate]\nkind = "gpio"\npin = 3\n', r"gpiozero is not installed \(gate\.kind\); pip install"),
        ('[gate]\nkind = "http"\nurl = "gate"\n', r"gate\.url"),
        ('[outbox]\npath = "theirs.sqlite"\n', r"the outbox belongs to station a/b/c, not plant/line1/cam1"),
        ('[outbox]\npath = "edge.toml"\n', r"the outbox is damaged or no outbox"),
        ('[outbox]\npath = "edge.toml/outbox.sqlite"\n', r"no outbox can be made: .*name another outbox\.path"),
    ],
)
def test_a_check_finds_what_would_end_a_start(
    file: Path, addition: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    Outbox(Path("theirs.sqlite"), "a/b/c", boot_id="boot", clock_id="clock", budget_bytes=1_000_000).close()
    with pytest.raises(MisconfiguredError, match=message):
        check(load(file, GOOD + addition))


def test_a_check_leaves_the_outbox_of_a_running_station_alone(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    settings = load(file, GOOD)
    check(settings)
    assert not settings.outbox.path.exists()
    outbox = Outbox(settings.outbox.path, settings.station, boot_id="b", clock_id="c", budget_bytes=1_000_000)
    check(settings)
    outbox.close()
    check(settings)


@pytest.mark.parametrize(
    ("addition", "message"),
    [
        ('[trigger]\ntopic = "plc/+/part"\n', r"trigger\.topic: 'plc/\+/part' is not a topic .*without wildcards"),
        ('[trigger]\ntopic = "plc/#"\n', r"trigger\.topic: 'plc/#'"),
        ('[trigger]\ntopic = ""\n', r"trigger\.topic: '' is not a topic"),
        ('[trigger]\ntopic = "vad/v1/plant/line1/cam1/verdict"\n', r"trigger\.topic .* own channels"),
        ('[trigger]\ntopic = "vad/v1/plant/_service/a/status"\n', r"trigger\.topic .* own channels"),
        ('[trigger]\ntopic = "$SYS/broker/uptime"\n', r"trigger\.topic .* of the broker"),
        ('[gate]\nkind = "mqtt"\ntopic = "plc/+"\n', r"gate\.topic: 'plc/\+'"),
        ('[gate]\nkind = "mqtt"\ntopic = ""\n', r"gate\.topic: ''"),
        ('[gate]\nkind = "mqtt"\ntopic = "vad/v1/plant/line1/cam2/command"\n', r"gate\.topic .* own channels"),
        ('[gate]\nkind = "mqtt"\ntopic = "plc/x"\n[trigger]\ntopic = "plc/x"\n', r"gate\.topic and trigger\.topic"),
    ],
)
def test_a_topic_of_the_plant_that_cannot_work_is_refused_by_name(file: Path, addition: str, message: str) -> None:
    with pytest.raises(MisconfiguredError, match=message):
        load(file, GOOD + addition)


@pytest.mark.parametrize(
    ("addition", "seconds"),
    [
        ("", 1.0),
        ("[trigger]\ntakt_seconds = 0.5\n", 0.5),
        ("[trigger]\ntakt_seconds = 0\n", 2.0),
        ('[trigger]\ntopic = "plc/part"\n[gate]\ndeadline_seconds = 3\n', 3.0),
        ('[trigger]\ntopic = "plc/part"\ntakt_seconds = 0.7\n', 0.7),
        ('[trigger]\ntopic = "plc/part"\nmax_age_seconds = 0.2\n', 0.2),
    ],
)
def test_a_trigger_may_be_as_old_as_its_takt_else_as_the_gates_deadline(
    file: Path, addition: str, seconds: float
) -> None:
    assert load(file, GOOD + addition).max_age_seconds == seconds


def test_a_source_without_a_kind_is_told_so(file: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"the setting source\.kind is missing .*; add it"):
        load(file, GOOD.replace('kind = "synthetic"', ""))


def test_a_wrong_station_is_said_plainly(file: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"station: 'cam1' is not a station; write it as site/line/station"):
        load(file, GOOD.replace("plant/line1/cam1", "cam1"))


def test_a_missing_file_and_broken_toml_are_said(file: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"cannot be read: No such file.*edge\.toml"):
        EdgeSettings.load(file)
    with pytest.raises(MisconfiguredError, match=r"no TOML: .*line 2"):
        load(file, "station = 'x'\nsource = = 3")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('kind = "folder"\ndirectory = "nowhere"', "nowhere is not a folder"),
        ('kind = "replay"\nplan = "nowhere.jsonl"', "the plan cannot be read"),
        ('kind = "synthetic"\nproduct = "spoon"', "there is no product 'spoon'.*choose from washer"),
    ],
)
def test_check_looks_at_what_the_source_names(file: Path, source: str, message: str) -> None:
    settings = load(file, f'station = "plant/line1/cam1"\n[source]\n{source}\n')
    with pytest.raises(MisconfiguredError, match=message):
        check(settings)


def test_check_looks_at_tls_files(file: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"nowhere\.pem"):
        check(load(file, GOOD + '[broker.tls]\nca = "nowhere.pem"\n'))


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for argument in (field.annotation, *_arguments(field.annotation)):
            if isinstance(argument, type) and issubclass(argument, BaseModel):
                yield from models(argument)


def _arguments(annotation: object) -> Iterator[object]:
    for argument in get_args(annotation):
        yield argument
        yield from _arguments(argument)


def test_every_setting_is_described_and_every_table_refuses_strangers() -> None:
    for model in models(EdgeSettings):
        assert model.model_config.get("extra") == "forbid", model
        assert all(field.description for field in model.model_fields.values()), model


def test_every_source_and_every_gate_can_be_chosen() -> None:
    tables = [model for model in models(EdgeSettings) if "kind" in model.model_fields]
    kinds = {get_args(model.model_fields["kind"].annotation)[0] for model in tables}
    assert {*SOURCES, *GATES} == kinds
