import pytest

from patchline.replay import broker_version as room
from patchline.replay.broker import find_mosquitto


@pytest.mark.skipif(find_mosquitto() is None, reason="Mosquitto is not installed (apt install mosquitto)")
def test_mosquitto_is_told_with_its_version():
    name, version = room.broker_version("mosquitto").split()
    assert name == "mosquitto"
    assert version[0].isdigit()


def test_a_broker_that_does_not_say_is_told_by_name(monkeypatch, tmp_path):
    monkeypatch.setattr(room, "find_mosquitto", lambda: str(tmp_path / "gone"))
    assert room.broker_version("mosquitto") == "mosquitto"
