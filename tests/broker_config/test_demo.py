import re
from pathlib import Path

import pytest

from broker_config.demo import write_configuration
from patchline.mqtt.delivery import Connection
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings
from patchline.replay.broker import Broker, free_port
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.messages import MAX_MESSAGE_BYTES


def test_the_configuration_listens_on_loopback_only(tmp_path: Path) -> None:
    text = write_configuration(tmp_path / "made" / "here", 18_830).read_text()
    assert [line for line in text.splitlines() if line.startswith("listener")] == ["listener 18830 127.0.0.1"]


@pytest.mark.broker
def test_mosquitto_starts_with_it_and_tells_its_packet_limit(mosquitto: Broker) -> None:
    connections: list[Connection] = []
    link = Link(
        LinkSettings(port=mosquitto.port, client_id="c", max_packet_bytes=MAX_MESSAGE_BYTES * 2),
        on_delivery=lambda _delivery: None,
        on_connected=connections.append,
        on_disconnected=lambda _reason: None,
    )
    link.start()
    assert link.wait_connected(60.0)
    link.stop(5.0)
    assert connections[0].max_packet_bytes == MAX_MESSAGE_BYTES
    assert "rror" not in mosquitto.log.read_text()


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_a_port_that_does_not_exist_is_refused(tmp_path: Path, port: int) -> None:
    with pytest.raises(MisconfiguredError):
        write_configuration(tmp_path, port)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="file"):
        write_configuration(tmp_path / "file" / "below", free_port())


@pytest.mark.parametrize("name", ["demo.conf", "production.conf"])
def test_every_block_of_lines_has_its_reason_above_it(name: str) -> None:
    text = (Path(__file__).parents[2] / "broker_config" / name).read_text()
    for block in re.split(r"\n\s*\n", text.strip()):
        assert block.startswith("#"), f"no reason above: {block}"
