from pathlib import Path
from typing import Any

import pytest

from patchline.mqtt.settings import LinkSettings, TlsSettings
from patchline.wire.errors import MisconfiguredError


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": ""},
        {"port": 0},
        {"port": 65_536},
        {"client_id": ""},
        {"protocol": "4"},
        {"password": "secret"},
        {"keepalive_seconds": 0},
        {"max_inflight": 0},
        {"max_inflight": 65_536},
        {"max_packet_bytes": 10},
        {"session_expiry_seconds": -1},
    ],
)
def test_a_setting_out_of_its_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MisconfiguredError):
        LinkSettings(**{"client_id": "c", **wrong})


def test_a_password_does_not_show_when_settings_are_printed() -> None:
    assert "hunter2" not in repr(LinkSettings(client_id="c", username="u", password="hunter2"))


def test_a_tls_key_needs_its_certificate() -> None:
    with pytest.raises(MisconfiguredError):
        TlsSettings(ca=Path("ca.crt"), key=Path("client.key"))
