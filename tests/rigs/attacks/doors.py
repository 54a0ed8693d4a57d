"""Attacks on the doors: who is let in, over what, and who may play the broker."""

import socket
import ssl
import threading
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

from broker_config.authority import Authority, Issued, utc_now
from patchline.mqtt.link import Link
from patchline.mqtt.settings import LinkSettings, TlsSettings
from patchline.wire.errors import MisconfiguredError, UnavailableError
from tests.rigs.attacks.attack import Attack, AttackSucceededError, Refused
from tests.rigs.attacks.site import SIDE, STOLEN, TOP, SiteUnderAttack
from tests.rigs.attacks.watcher import Watcher

_CONNECT = b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x04evil"
"""MQTT 5, clean start, keepalive 60 s, client id `evil`."""
_CONNACK = 0x20
_WAIT_SECONDS = 10.0
_VERDICT_SECONDS = 1.0


def knock(
    site: SiteUnderAttack, *, certificate: Path | None, key: Path | None, newest: ssl.TLSVersion | None = None
) -> Refused:
    """Ask to be let in with Python's ssl module and bytes of our own; an attacker does not use our client.

    Raises:
        AttackSucceededError: The broker answers with a CONNACK of success.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(site.tls_of(str(SIDE)).ca)
    if newest is not None:
        context.maximum_version = newest
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    try:
        with (
            socket.create_connection(("127.0.0.1", site.port), timeout=_WAIT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as opened,
        ):
            # TLS 1.3: our half of the handshake ends before the broker has looked at the certificate.
            opened.settimeout(_VERDICT_SECONDS)
            with suppress(TimeoutError):
                return _read_answer(opened)
            opened.settimeout(_WAIT_SECONDS)
            opened.sendall(_CONNECT)
            return _read_answer(opened)
    except ssl.SSLError as error:
        return Refused("broker, TLS", f"alert: {(error.reason or str(error)).lower().replace('_', ' ')}")
    except ConnectionError as error:
        return Refused("broker, TLS", f"connection closed: {error.strerror}")


def _read_answer(opened: socket.socket) -> Refused:
    answer = opened.recv(16)
    if not answer:
        return Refused("broker", "connection closed without a word")
    if len(answer) > 3 and answer[0] == _CONNACK and answer[3] == 0:
        raise AttackSucceededError("the broker let us in")
    return Refused("broker", f"closed without a CONNACK (answer {answer.hex() or 'empty'})")


def _kept(site: SiteUnderAttack, name: str, issued: Issued) -> tuple[Path, Path]:
    folder = site.folder / "attacker"
    folder.mkdir(exist_ok=True)
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    certificate.write_bytes(issued.certificate)
    key.write_bytes(issued.key)
    return certificate, key


def _no_certificate(site: SiteUnderAttack) -> Refused:
    return knock(site, certificate=None, key=None)


def _foreign_authority(site: SiteUnderAttack) -> Refused:
    """An authority of our own, with the very name of the site's."""
    now = utc_now()
    authority = Authority.create(site.folder / "attacker" / "authority", "plant", now=now)
    issued = authority.issue(str(TOP), "client", not_before=now, not_after=now + timedelta(days=9))
    certificate, key = _kept(site, "foreign", issued)
    return knock(site, certificate=certificate, key=key)


def _self_signed(site: SiteUnderAttack) -> Refused:
    folder = site.folder / "attacker" / "self"
    Authority.create(folder, "analytics", now=utc_now())
    return knock(site, certificate=folder / "ca.crt", key=folder / "ca.key")


def _revoked(site: SiteUnderAttack) -> Refused:
    tls = site.tls_of(str(STOLEN))
    assert tls.certificate is not None
    return knock(site, certificate=tls.certificate, key=tls.key)


def _expired(site: SiteUnderAttack) -> Refused:
    now = utc_now()
    issued = site.authority().issue(
        str(TOP), "client", not_before=now - timedelta(days=400), not_after=now - timedelta(days=1)
    )
    certificate, key = _kept(site, "expired", issued)
    told, tls = "", TlsSettings(ca=certificate, certificate=certificate, key=key)
    try:
        Watcher(LinkSettings(port=site.port, client_id="late", tls=tls))
    except MisconfiguredError as error:
        told = error.what
    except UnavailableError as error:
        told = str(error)
    refused = knock(site, certificate=certificate, key=key)
    return Refused(refused.by, f"{refused.evidence}; our own client: {told}")


def _brokers_certificate_as_a_client(site: SiteUnderAttack) -> Refused:
    tls = site.keys / "broker" / "tls"
    return knock(site, certificate=tls / "broker.crt", key=tls / "broker.key")


def _old_tls(site: SiteUnderAttack) -> Refused:
    tls = site.tls_of(str(SIDE))
    assert tls.certificate is not None
    return knock(site, certificate=tls.certificate, key=tls.key, newest=ssl.TLSVersion.TLSv1_2)


def _plain_tcp(site: SiteUnderAttack) -> Refused:
    with socket.create_connection(("127.0.0.1", site.port), timeout=_WAIT_SECONDS) as plain:
        plain.sendall(_CONNECT)
        try:
            return _read_answer(plain)
        except ConnectionError as error:
            return Refused("broker", f"connection closed: {error.strerror}")


def _wrong_host(site: SiteUnderAttack) -> Refused:
    now = utc_now()
    issued = site.authority().issue(
        "broker", "server", hosts=("elsewhere.example",), not_before=now, not_after=now + timedelta(days=9)
    )
    return _play_the_broker(site, *_kept(site, "elsewhere", issued))


def _station_as_broker(site: SiteUnderAttack) -> Refused:
    tls = site.tls_of(str(SIDE))
    assert tls.certificate is not None
    assert tls.key is not None
    return _play_the_broker(site, tls.certificate, tls.key)


def _lapsed_broker(site: SiteUnderAttack) -> Refused:
    now = utc_now()
    issued = site.authority().issue(
        "broker",
        "server",
        hosts=("127.0.0.1",),
        not_before=now - timedelta(days=400),
        not_after=now - timedelta(days=1),
    )
    return _play_the_broker(site, *_kept(site, "lapsed", issued))


def _play_the_broker(site: SiteUnderAttack, certificate: Path, key: Path) -> Refused:
    """Wait for a station's client with this certificate; whether it says CONNECT to us."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    said: list[bytes] = []
    losses: list[str] = []
    lost = threading.Event()

    def told(reason: str) -> None:
        losses.append(reason)
        lost.set()

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as opened:
                    said.append(opened.recv(100))
            except OSError:
                connection.close()

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        link = Link(
            LinkSettings(port=listener.getsockname()[1], client_id="victim", tls=site.tls_of(str(TOP))),
            on_delivery=lambda _delivery: None,
            on_connected=lambda _connection: None,
            on_disconnected=told,
        )
        link.start()
        lost.wait(_WAIT_SECONDS)
        link.stop(2.0)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(_WAIT_SECONDS)
    if any(said) or not losses:
        raise AttackSucceededError(f"the client spoke to us: {said}")
    return Refused("our client, TLS", losses[0])


ATTACKS = (
    Attack("enter without a certificate", "TLS 1.3, no certificate", _no_certificate),
    Attack("enter with a foreign certificate", "of an own authority with the site's very name", _foreign_authority),
    Attack("enter with a self-signed certificate", "CN as the service's", _self_signed),
    Attack("enter with a revoked certificate", "the stolen station's, not expired", _revoked),
    Attack("enter with an expired certificate", "of the site's authority, ended yesterday", _expired),
    Attack("enter with the broker's certificate", "made for a server", _brokers_certificate_as_a_client),
    Attack("enter over TLS 1.2", "with a station's valid certificate", _old_tls),
    Attack("enter without TLS", "plain TCP to the TLS port", _plain_tcp),
    Attack("play the broker under another name", "certificate of the site for elsewhere.example", _wrong_host),
    Attack("play the broker as a station", "with a station's valid certificate", _station_as_broker),
    Attack("play the broker with its old certificate", "ended yesterday", _lapsed_broker),
)
