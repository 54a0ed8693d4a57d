"""Settings: read from TOML, overridden by the environment, wrong ones refused with file, key and remedy."""

from pathlib import Path

import pytest

from analytics_service.settings import Settings, read_settings
from patchline.wire.errors import MisconfiguredError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "analytics.toml"


def read(config: Path, text: str) -> Settings:
    config.write_text(text)
    return read_settings(config)


def test_one_key_is_enough(config: Path) -> None:
    settings = read(config, 'artifacts = "artifacts"')
    assert settings.artifacts == Path("artifacts")
    link = settings.broker.link_settings(settings.name)
    assert (link.host, link.port, link.client_id, link.clean_start) == ("127.0.0.1", 1883, "patchline-analytics", True)
    assert link.session_expiry_seconds == 0


def test_the_environment_wins_over_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATCHLINE_ANALYTICS_BROKER__HOST", "broker.plant")
    monkeypatch.setenv("PATCHLINE_ANALYTICS_BROKER__PASSWORD", "secret")
    settings = read(config, 'artifacts = "a"\n[broker]\nhost = "other"\nport = 8883\nusername = "u"')
    link = settings.broker.link_settings("x")
    assert (link.host, link.port, link.password) == ("broker.plant", 8883, "secret")
    assert "secret" not in repr(settings)


def test_tls_files_reach_the_link(config: Path) -> None:
    settings = read(config, 'artifacts = "a"\n[broker.tls]\nca = "ca.crt"\ncertificate = "c.crt"\nkey = "c.key"')
    tls = settings.broker.link_settings("x").tls
    assert tls is not None
    assert (tls.ca, tls.certificate, tls.key) == (Path("ca.crt"), Path("c.crt"), Path("c.key"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('artefacts = "a"', "no setting 'artefacts'.*did you mean 'artifacts'"),
        ('artifacts = "a"\n[broker]\nhots = "h"', r"no setting 'broker\.hots'.*did you mean 'host'"),
        ('artifacts = "a"\n[broker.tls]\nkay = "h"', r"no setting 'broker\.tls\.kay'.*did you mean 'key'"),
        ('artifacts = "a"\n[broker]\nhost = "mqtt://plant"', "not a host name or address .*write host = 'plant'"),
        ('artifacts = "a"\n[broker]\nhost = "plant:1883"', "not a host name or address .*write host = 'plant'"),
        ('artifacts = "a"\n[broker]\nhost = "[::1]"', "not a host name or address .*write host = '::1'"),
        ("", "'artifacts' is missing"),
        ('artifacts = "a"\n[worker]\nbatch_parts = 0', r"analytics\.toml: worker\.batch_parts"),
        ('artifacts = "a"\n[worker]\nmaps = "some"', "worker.maps"),
        ('artifacts = "a"\nname = "a/b"', "name"),
        ("artifacts = ", "not TOML"),
    ],
)
def test_a_wrong_key_is_named_with_its_file_and_a_remedy(config: Path, text: str, message: str) -> None:
    with pytest.raises(MisconfiguredError, match=message) as caught:
        read(config, text)
    assert "analytics.toml" in str(caught.value)
    assert caught.value.remedy


def test_a_missing_file_is_refused(config: Path) -> None:
    with pytest.raises(MisconfiguredError, match="cannot be read"):
        read_settings(config)


def test_every_setting_is_described() -> None:
    def undescribed(model: type, path: str) -> list[str]:
        found = []
        for name, field in model.model_fields.items():  # type: ignore[attr-defined]
            found += [] if field.description else [f"{path}{name}"]
            if hasattr(field.annotation, "model_fields"):
                found += undescribed(field.annotation, f"{path}{name}.")
        return found

    assert undescribed(Settings, "") == []
