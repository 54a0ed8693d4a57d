from pathlib import Path

import pytest

from analytics_service.records.engine import open_engine
from analytics_service.settings import read_settings
from edge_node.gate.gates.http import HttpGate, HttpGateSettings
from edge_node.settings import EdgeSettings
from patchline.mqtt.settings import LinkSettings
from patchline.runtime.redaction import may_be_shown, redacted
from patchline.wire.errors import MisconfiguredError

SECRET = "Tr0ub4dor&3"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"rtsp://admin:{SECRET}@10.0.0.7/stream", "rtsp://admin:***@10.0.0.7/stream"),
        (f"postgresql+psycopg://u:{SECRET}@db/name", "postgresql+psycopg://u:***@db/name"),
        (f"http://:{SECRET}@gate", "http://:***@gate"),
        (f"http://u:a@b:{SECRET}@gate", "http://u:***@gate"),
        ("http://gate:8080/act", "http://gate:8080/act"),
        ("0", "0"),
    ],
)
def test_a_password_in_an_address_is_not_shown(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_settings_and_rooms_keep_their_passwords_to_themselves(tmp_path: Path) -> None:
    edge = EdgeSettings(
        station="a/b/c",
        source={"kind": "synthetic", "product": "washer"},  # type: ignore[arg-type]
        broker={"username": "u", "password": SECRET},  # type: ignore[arg-type]
    )
    link = LinkSettings(client_id="c", username="u", password=SECRET)
    said = [repr(edge), str(edge), repr(link), edge.model_dump_json()]
    for attempt in (
        lambda: HttpGate.check(HttpGateSettings(kind="http", url=f"ftp://u:{SECRET}@gate")),
        lambda: open_engine(f"oracle://u:{SECRET}@db/x"),
        lambda: open_engine(f"://u:{SECRET}@db"),
    ):
        with pytest.raises(MisconfiguredError) as caught:
            attempt()
        said.append(str(caught.value))
    assert [text for text in said if SECRET in text] == []


@pytest.mark.parametrize("line", ["[broker]\npassword = 4711", "[records]\nurl = 4711", "[broker]\nport = 471100"])
def test_a_wrong_value_is_told_unless_it_may_be_a_secret(tmp_path: Path, line: str) -> None:
    (tmp_path / "analytics.toml").write_text(f'artifacts = "a"\n{line}\n')
    with pytest.raises(MisconfiguredError) as caught:
        read_settings(tmp_path / "analytics.toml")
    assert ("4711" in str(caught.value)) == ("port" in line)


def test_a_setting_named_like_a_secret_is_one() -> None:
    assert not may_be_shown("broker.password")
    assert may_be_shown("broker.port")
