import math
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from analytics_service.metrics import Metrics
from edge_node.metrics import EdgeMetrics
from patchline.mqtt import certificate_expiry as expiry
from patchline.mqtt.settings import TlsSettings
from patchline.mqtt.tls import context_of
from patchline.replay.broker import Broker

DAY = 86_400


@pytest.fixture
def tls(authority: Any) -> TlsSettings:
    certificate, key = authority.sign("ending", days=12)
    return TlsSettings(ca=authority.certificate, certificate=certificate, key=key)


def test_a_certificate_is_spoken_of_from_thirty_days_before_its_end(tls: TlsSettings) -> None:
    now = datetime.now(UTC)
    assert expiry.warnings(TlsSettings(ca=tls.ca), now - timedelta(days=1)) == []
    (near,) = [told for told in expiry.warnings(tls, now - timedelta(days=1)) if "ending.crt" in told]
    assert "expires in 13 days" in near
    assert "renew" in near
    (over,) = [told for told in expiry.warnings(tls, now + timedelta(days=15)) if "ending.crt" in told]
    assert "expired 3 days ago" in over


def test_both_programs_measure_what_is_left_and_read_a_renewed_file_anew(
    tls: TlsSettings, authority: Any, tmp_path: Path
) -> None:
    certificate = tmp_path / "own.crt"
    certificate.write_bytes(tls.certificate.read_bytes() if tls.certificate else b"")
    watched = TlsSettings(ca=tls.ca, certificate=certificate)
    edge, service = EdgeMetrics(), Metrics(CollectorRegistry())
    edge.watch_certificates(watched)
    service.watch_certificates(watched)

    def left(name: str, registry: CollectorRegistry) -> float | None:
        return registry.get_sample_value(f"vad_{name}_certificate_expiry_seconds", {"certificate": "certificate"})

    for name, registry in (("edge", edge.registry), ("analytics", service.registry)):
        assert left(name, registry) == pytest.approx(12 * DAY, abs=DAY / 4)
        assert b'certificate="authority"' in generate_latest(registry)
    certificate.write_bytes(authority.sign("renewed", days=400)[0].read_bytes())
    assert left("edge", edge.registry) == pytest.approx(400 * DAY, abs=DAY / 4)
    certificate.unlink()
    assert math.isnan(left("edge", edge.registry) or 0.0)


def test_without_cryptography_expiry_is_unknown_and_the_warning_says_what_to_install(
    tls: TlsSettings, authority: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "_readable", False)
    (told,) = expiry.warnings(tls, datetime.now(UTC))
    assert "unknown" in told
    assert "pip install 'patchline[site]'" in told
    assert all(math.isnan(ending.seconds_left(datetime.now(UTC))) for ending in expiry.endings(tls))
    lapsed, key = authority.sign("lapsed-unread", days=-1)
    context_of(TlsSettings(ca=tls.ca, certificate=lapsed, key=key))


def test_the_link_is_usable_where_cryptography_cannot_be_imported() -> None:
    program = "import sys; sys.modules['cryptography'] = None; import patchline.mqtt.link, patchline.mqtt.tls"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_warning_is_repeated_until_it_is_stopped(tls: TlsSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "_CHECK_EVERY_SECONDS", 0.001)
    stop, told = threading.Event(), []

    def tell(sentence: str) -> None:
        told.append(sentence)
        if len(told) > 4:
            stop.set()

    expiry.warn_until(stop, tls, tell)
    assert len(set(told)) <= 2


@pytest.mark.broker
def test_a_broker_whose_certificate_has_expired_is_refused_with_what_to_do(
    configured_mosquitto: Callable[[str], Broker],
    authority: Any,
    make_link: Callable[..., Any],
    eventually: Callable[..., None],
) -> None:
    certificate, key = authority.sign("lapsed", days=-1)
    broker = configured_mosquitto(f"certfile {certificate}\nkeyfile {key}\nuser root")
    end = make_link(broker.port, tls=TlsSettings(ca=authority.certificate), connect=False)
    eventually(lambda: end.losses)
    assert end.losses[0].startswith(f"the certificate of 127.0.0.1:{broker.port} has expired; renew it")


@pytest.mark.broker
def test_a_clients_certificate_that_lapsed_at_the_brokers_clock_is_told_in_words(
    configured_mosquitto: Callable[[str], Broker],
    authority: Any,
    strangers: Any,
    make_link: Callable[..., Any],
    eventually: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    certificate, key = authority.sign("broker")
    lines = f"cafile {authority.certificate}\ncertfile {certificate}\nkeyfile {key}\nrequire_certificate true"
    broker = configured_mosquitto(f"{lines}\nuser root")
    monkeypatch.setattr("patchline.mqtt.tls.check_validity", lambda *_: None)
    for signed, words in (
        (authority.sign("lapsed-edge", days=-1), "the broker refuses our certificate: it has expired"),
        (strangers.sign("foreign-edge"), "the broker refuses our certificate: no authority it trusts has signed it"),
    ):
        tls = TlsSettings(ca=authority.certificate, certificate=signed[0], key=signed[1])
        end = make_link(broker.port, tls=tls, connect=False)
        eventually(lambda end=end: end.losses)
        assert end.losses[0].startswith(words)
