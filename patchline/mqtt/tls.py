"""Makes an SSL context from TLS settings; each wrong file is reported with what to do about it."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

from patchline.mqtt.certificate_expiry import check_validity
from patchline.mqtt.settings import TlsSettings
from patchline.wire.errors import MisconfiguredError

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class _TidySocket(ssl.SSLSocket):
    """Closes itself after a failed handshake; paho would leave it open."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def context_of(tls: TlsSettings) -> ssl.SSLContext:
    """An SSL context that checks the broker's certificate and host name and presents our certificate if there is one.

    Files are read for every connection, so that a renewed certificate is used by the next one.

    Raises:
        MisconfiguredError: A file is missing, unreadable, expired, or the key does not belong to the certificate.
    """
    for what, path in (("authority", tls.ca), ("certificate", tls.certificate), ("key", tls.key)):
        if path is not None and not path.is_file():
            raise MisconfiguredError(
                f"the TLS {what} file is missing", where=str(path), remedy="check the tls settings"
            )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = _TidySocket
    context.minimum_version = _VERSIONS[tls.minimum_version]
    try:
        context.load_verify_locations(tls.ca)
    except OSError as error:
        raise MisconfiguredError(f"the TLS authority file is unusable: {error}", where=str(tls.ca)) from error
    if tls.certificate is not None:
        _present(context, tls.certificate, tls.key)
    return context


def _present(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    check_validity(certificate, datetime.now(UTC))
    try:
        # The empty pass phrase makes an encrypted key an error instead of a question on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise MisconfiguredError(
            f"the TLS certificate and key cannot be used together: {error}",
            where=f"{certificate}, {key or certificate}",
            remedy="give the certificate's own key, unencrypted",
        ) from error
