import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from patchline.mqtt.certificate_expiry import check_validity, validity_of
from patchline.mqtt.settings import TlsSettings
from patchline.mqtt.tls import context_of
from patchline.replay.broker import Broker
from patchline.wire.errors import MisconfiguredError

MakeLink = Callable[..., Any]
Eventually = Callable[..., None]


@pytest.fixture
def tls_broker(configured_mosquitto: Callable[[str], Broker], authority: Any) -> Broker:
    """A Mosquitto that speaks TLS 1.3 only and asks for a certificate."""
    certificate, key = authority.sign("broker")
    lines = (
        f"cafile {authority.certificate}",
        f"certfile {certificate}",
        f"keyfile {key}",
        "require_certificate true",
        "use_identity_as_username true",
        "tls_version tlsv1.3",
        "user root",
    )
    return configured_mosquitto("\n".join(lines))


@pytest.mark.broker
def test_both_sides_show_certificates_over_tls_1_3(
    tls_broker: Broker, authority: Any, make_link: MakeLink, unique_topic: str, eventually: Eventually
) -> None:
    certificate, key = authority.sign("edge-1")
    tls = TlsSettings(ca=authority.certificate, certificate=certificate, key=key, minimum_version="1.3")
    end = make_link(tls_broker.port, unique_topic, tls=tls)
    for number in range(20):
        end.publish(unique_topic, bytes([number]) * 60_000)
    eventually(lambda: len(end.deliveries) == 20)
    assert end.payloads() == [bytes([number]) * 60_000 for number in range(20)]


@pytest.mark.broker
def test_a_certificate_renewed_on_disk_is_taken_up_at_the_next_connection(
    *,
    tls_broker: Broker,
    authority: Any,
    strangers: Any,
    make_link: MakeLink,
    tmp_path: Path,
    eventually: Eventually,
) -> None:
    certificate, key = tmp_path / "edge.crt", tmp_path / "edge.key"

    def install(signed: tuple[Path, Path]) -> None:
        certificate.write_bytes(signed[0].read_bytes())
        key.write_bytes(signed[1].read_bytes())

    install(strangers.sign("edge-2"))
    tls = TlsSettings(ca=authority.certificate, certificate=certificate, key=key)
    end = make_link(tls_broker.port, tls=tls, connect=False)
    eventually(lambda: end.losses)
    install(authority.sign("edge-2"))
    assert end.link.wait_connected(60.0)


@pytest.mark.broker
def test_without_a_certificate_the_brokers_refusal_is_told(
    tls_broker: Broker, authority: Any, make_link: MakeLink, eventually: Eventually
) -> None:
    end = make_link(tls_broker.port, tls=TlsSettings(ca=authority.certificate), connect=False)
    eventually(lambda: end.losses)
    assert "certificate required" in end.losses[0].lower().replace("_", " ")
    assert end.connections == []


@pytest.mark.broker
def test_a_broker_whose_certificate_strangers_signed_is_refused_by_us(
    tls_broker: Broker, strangers: Any, make_link: MakeLink, eventually: Eventually
) -> None:
    end = make_link(tls_broker.port, tls=TlsSettings(ca=strangers.certificate), connect=False)
    eventually(lambda: end.losses)
    assert end.losses[0].startswith(f"the certificate of 127.0.0.1:{tls_broker.port} is refused: ")


@pytest.mark.broker
def test_a_broker_of_another_name_is_refused_by_us(
    configured_mosquitto: Callable[[str], Broker], authority: Any, make_link: MakeLink, eventually: Eventually
) -> None:
    certificate, key = authority.sign("elsewhere", host="DNS:elsewhere.example")
    broker = configured_mosquitto(f"certfile {certificate}\nkeyfile {key}\nuser root")
    end = make_link(broker.port, tls=TlsSettings(ca=authority.certificate), connect=False)
    eventually(lambda: end.losses)
    assert "127.0.0.1" in end.losses[0]
    assert "mismatch" in end.losses[0]


@pytest.mark.broker
def test_a_broker_without_tls_is_told_as_such(
    mosquitto: Broker, authority: Any, make_link: MakeLink, eventually: Eventually
) -> None:
    end = make_link(mosquitto.port, tls=TlsSettings(ca=authority.certificate), connect=False)
    eventually(lambda: end.losses)
    assert f"127.0.0.1:{mosquitto.port}" in end.losses[0]


def test_a_missing_file_is_named_before_anything_is_connected(authority: Any, make_link: MakeLink) -> None:
    certificate, key = authority.sign("edge-3")
    missing = certificate.with_name("missing.pem")
    for tls in (
        TlsSettings(ca=missing),
        TlsSettings(ca=authority.certificate, certificate=missing, key=key),
        TlsSettings(ca=authority.certificate, certificate=certificate, key=missing),
    ):
        with pytest.raises(MisconfiguredError) as caught:
            make_link(1, tls=tls)
        assert caught.value.where == str(missing)


def test_an_expired_certificate_is_named_with_its_day(authority: Any) -> None:
    certificate, key = authority.sign("expired", days=-1)
    with pytest.raises(MisconfiguredError, match=r"expired on \d{4}-\d\d-\d\d .*expired.crt.*renew"):
        context_of(TlsSettings(ca=authority.certificate, certificate=certificate, key=key))


def test_a_certificate_that_is_not_valid_yet_points_at_the_clock(authority: Any) -> None:
    certificate, _ = authority.sign("early")
    with pytest.raises(MisconfiguredError, match="clock"):
        check_validity(certificate, datetime.now(UTC) - timedelta(days=1))
    check_validity(certificate, datetime.now(UTC) + timedelta(days=1))


def test_validity_is_what_openssl_reads(authority: Any) -> None:
    for certificate in (authority.certificate, authority.sign("edge-4")[0], authority.sign("late", days=20_000)[0]):
        command = ["openssl", "x509", "-in", str(certificate), "-noout", "-dates"]
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        dates = [
            datetime.strptime(line.partition("=")[2], "%b %d %H:%M:%S %Y %Z").replace(tzinfo=UTC) for line in shown
        ]
        assert list(validity_of(certificate)) == dates


def test_a_key_of_another_certificate_is_refused(authority: Any) -> None:
    certificate, _ = authority.sign("edge-5")
    _, other_key = authority.sign("edge-6")
    with pytest.raises(MisconfiguredError, match="cannot be used together"):
        context_of(TlsSettings(ca=authority.certificate, certificate=certificate, key=other_key))


def test_an_encrypted_key_is_refused_without_a_question_on_the_terminal(authority: Any, tmp_path: Path) -> None:
    certificate, key = authority.sign("edge-7")
    locked = tmp_path / "locked.key"
    command = ["openssl", "pkey", "-in", str(key), "-aes256", "-passout", "pass:secret", "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(MisconfiguredError, match="unencrypted"):
        context_of(TlsSettings(ca=authority.certificate, certificate=certificate, key=locked))


def test_certificate_and_key_may_live_in_one_file(authority: Any, tmp_path: Path) -> None:
    certificate, key = authority.sign("edge-8")
    both = tmp_path / "both.pem"
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    context_of(TlsSettings(ca=authority.certificate, certificate=both))


@pytest.mark.parametrize(
    "content",
    [b"", b"not a certificate", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"],
)
def test_a_file_that_holds_no_certificate_is_refused(tmp_path: Path, content: bytes) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_bytes(content)
    with pytest.raises(MisconfiguredError):
        validity_of(broken)
    with pytest.raises(MisconfiguredError):
        context_of(TlsSettings(ca=broken))
