"""What a TLS connection was refused for, in words a person can act on; in both directions."""

import socket
import ssl
from datetime import datetime

from wire_contract.errors import MisconfiguredError
from wire_contract.link.certificates import Validity, validity_of_der
from wire_contract.link.settings import LinkSettings, TlsSettings
from wire_contract.link.tls import context_of

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
