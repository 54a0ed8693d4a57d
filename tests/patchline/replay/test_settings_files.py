"""The settings a simulated line writes are ones that its programs take."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_service.settings import read_settings
from edge_node.settings import EdgeSettings
from patchline.replay.ledger import Entry
from patchline.replay.scenario import Scenario, StationPlan
from patchline.replay.settings_files import analytics_file, edge_file, records_url, toml


@pytest.fixture
def scenario(tmp_path: Path) -> Any:
    picture = tmp_path / 'it\'s a "part".png'
    picture.touch()
    plan = StationPlan(
        station="plant/line/one",
        entries=(Entry(station="plant/line/one", part_id="a", label="good", picture=str(picture)),),
    )
    return Scenario(
        title="test",
        directory=tmp_path / "run with spaces",
        stations=(plan,),
        artifacts=tmp_path / "artifacts",
        takt_seconds=0.25,
    )


def test_an_edge_node_takes_its_file(scenario: Any) -> None:
    path = edge_file(
        scenario, scenario.stations[0], port=1884, protocol="3.1.1", metrics_port=9000, delay_seconds=0.125
    )
    settings = EdgeSettings.load(path)
    assert settings.station == "plant/line/one"
    assert settings.finish_when_drained
    assert (settings.broker.port, settings.broker.protocol) == (1884, "3.1.1")
    assert settings.trigger.takt_seconds == 0.25
    assert settings.outbox.path.is_absolute()


def test_the_service_takes_its_file(scenario: Any) -> None:
    settings = read_settings(analytics_file(scenario, port=1884, protocol="5"))
    assert settings.site == "plant"
    assert settings.worker.maps == "all"
    assert settings.records.url == records_url(scenario)


def test_a_signed_lines_programs_are_told_whose_signature_to_ask_for(scenario: Any, tmp_path: Path) -> None:
    signed = replace(scenario, verify_key=tmp_path / "verify.pem")
    (tmp_path / "verify.pem").touch()
    edge = edge_file(signed, signed.stations[0], port=1, protocol="5", metrics_port=9000, delay_seconds=0)
    assert EdgeSettings.load(edge).profile.verify_key == tmp_path / "verify.pem"
    assert read_settings(analytics_file(signed, port=1, protocol="5")).verify_key == tmp_path / "verify.pem"


def test_the_plan_of_a_station_has_no_truth_in_it(scenario: Any) -> None:
    edge_file(scenario, scenario.stations[0], port=1, protocol="5", metrics_port=9000, delay_seconds=0)
    plans = list(Path(scenario.directory).rglob("plan.jsonl"))
    assert len(plans) == 1
    assert b"label" not in plans[0].read_bytes()


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        st.one_of(
            st.booleans(),
            st.integers(-(2**60), 2**60),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=30),
            st.lists(st.integers(0, 9), max_size=3),
        ),
        max_size=6,
    )
)
def test_what_is_written_is_read_back(table: Any) -> None:
    assert tomllib.loads(toml({**table, "section": table})) == {**table, "section": table}
