"""What a connection was refused or ended for, in words a person can act on; in both directions."""

import socket
import ssl
from datetime import datetime

from patchline.mqtt.certificates import Validity, validity_of_der
from patchline.mqtt.settings import LinkSettings, TlsSettings
from patchline.mqtt.tls import context_of
from patchline.wire.errors import MisconfiguredError

_HAS_EXPIRED = 10
"""X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL, as is the next."""
_NOT_YET_VALID = 9
_LOOK_TIMEOUT_SECONDS = 5.0

_ALERTS = {
    "CERTIFICATE_REVOKED": "our certificate: it has been revoked; ask for a new one (patchline provision renew)",
    "CERTIFICATE_EXPIRED": "our certificate: it has expired; ask for a new one (patchline provision renew)",
    "CERTIFICATE_REQUIRED": "to talk without one (certificate required); set broker.tls.certificate and broker.tls.key",
    "UNKNOWN_CA": "our certificate: no authority it trusts has signed it; take the one that this site's provision made",
    "BAD_CERTIFICATE": "our certificate: it cannot be verified",
    "UNSUPPORTED_CERTIFICATE": "our certificate: it is not made for a client",
    "PROTOCOL_VERSION": "our TLS version",
}
"""Part of the name OpenSSL gives to a TLS alert (RFC 8446, section 6.2) -> what the broker refuses."""


_WHO_ARE_YOU = ("Not authorized", "Bad user name or password")
"""What a broker says of a name, password or certificate that it does not know, in paho's words."""


def of_connect(code: object) -> str:
    """Why the broker answered CONNECT with a refusal."""
    known = any(words.lower() in str(code).lower() for words in _WHO_ARE_YOU)
    advice = "; set broker.username and broker.password, or a certificate that it knows" if known else ""
    return f"the broker refuses the connection: {code}{advice}"


def of_silence(settings: LinkSettings, *, live: bool) -> str:
    """Why a connection may have been closed without a word: Mosquitto 2.0 has none for whom a twin throws out."""
    if live:
        twin = f"another program came as client {settings.client_id!r}"
        return f"the other side closed the connection: the broker ended, or {twin}"
    return f"the other side closed the connection before it answered{_asked_for(settings)}"


def of_loss(settings: LinkSettings, why: str, *, live: bool) -> str:
    """Why a connection was lost."""
    return f"the connection was lost: {why}" if live else f"the connection was lost: {why}{_asked_for(settings)}"


def _asked_for(settings: LinkSettings) -> str:
    spoken = "which we speak" if settings.tls is not None else "which we do not speak: broker.tls is not set"
    return f"; is port {settings.port} the broker's, and does it ask for TLS, {spoken}?"


def of_ours(error_text: str) -> str:
    """What the broker refused us for, if a TLS alert in an error of the socket says it; else empty."""
    alert = error_text.upper().replace(" ", "_")
    if "ALERT" not in alert and "CERTIFICATE_REQUIRED" not in alert:
        return ""
    told = next((words for name, words in _ALERTS.items() if name in alert), "")
    return f"the broker refuses {told}" if told else ""


def of_theirs(error: ssl.SSLCertVerificationError, settings: LinkSettings) -> str:
    """Why we refused the broker's certificate."""
    place = f"{settings.host}:{settings.port}"
    reason = f"the certificate of {place} is refused: {error.verify_message}"
    if error.verify_code not in {_HAS_EXPIRED, _NOT_YET_VALID} or settings.tls is None:
        return reason
    validity = _shown_by(settings, settings.tls)
    if validity is None:
        return reason
    if error.verify_code == _HAS_EXPIRED:
        return f"the certificate of {place} expired on {_day(validity.not_after)}; renew it and restart the broker"
    return f"the certificate of {place} is not valid before {_day(validity.not_before)}; check this machine's clock"


def _shown_by(settings: LinkSettings, tls: TlsSettings) -> Validity | None:
    """How long the certificate holds that the other side shows; asked in a handshake that nothing is sent over."""
    try:
        context = context_of(tls)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        address = (settings.host, settings.port)
        with (
            socket.create_connection(address, timeout=_LOOK_TIMEOUT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=settings.host) as opened,
        ):
            shown = opened.getpeercert(binary_form=True)
        return None if shown is None else validity_of_der(shown)
    except (OSError, MisconfiguredError, ValueError):
        return None


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
