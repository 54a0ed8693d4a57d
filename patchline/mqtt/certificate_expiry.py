"""When the certificates we depend on expire: for a check at start, a metric, and a warning in time.

Only the package `cryptography` (extra `site`) can read a certificate. Without it the expiry is unknown: nothing is
refused beforehand, the metric is NaN, and the warning says what to install.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from patchline.mqtt.settings import TlsSettings
from patchline.wire.errors import MisconfiguredError, missing_extra

try:
    from cryptography import x509
except ImportError:
    _readable = False
else:
    _readable = True

NEAR = timedelta(days=30)
"""How long before its end a certificate is warned of."""
_CHECK_EVERY_SECONDS = 6 * 3600.0


@dataclass(frozen=True)
class Ending:
    """A certificate we depend on.

    Attributes:
        role: `certificate`, our own, or `authority`, which signed the broker's.
    """

    role: str
    path: Path

    def seconds_left(self, now: datetime) -> float:
        """Until it expires; negative after that, NaN if it cannot be read."""
        try:
            return (validity_of(self.path)[1] - now).total_seconds()
        except MisconfiguredError:
            return float("nan")


def validity_of(path: Path) -> tuple[datetime, datetime]:
    """From when until when the first certificate in a PEM file is valid.

    Raises:
        MisconfiguredError: The file cannot be read or holds no certificate, or `cryptography` is not installed.
    """
    if not _readable:
        raise missing_extra("cryptography", "site")
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise MisconfiguredError(
            f"the certificate cannot be read: {error}", where=str(path), remedy="give a PEM certificate"
        ) from error
    return certificate.not_valid_before_utc, certificate.not_valid_after_utc


def check_validity(path: Path, now: datetime) -> None:
    """Make sure that a certificate is valid now, where that can be known.

    Raises:
        MisconfiguredError: It has expired or is not valid yet, or cannot be read.
    """
    if not _readable:
        return
    not_before, not_after = validity_of(path)
    if now > not_after:
        expired = f"the certificate expired on {not_after:%Y-%m-%d %H:%M} UTC"
        raise MisconfiguredError(expired, where=str(path), remedy="renew it")
    if now < not_before:
        early = f"the certificate is not valid before {not_before:%Y-%m-%d %H:%M} UTC"
        raise MisconfiguredError(early, where=str(path), remedy="check this machine's clock")


def endings(tls: TlsSettings) -> list[Ending]:
    """The certificates a link with these settings depends on."""
    own = [Ending("certificate", tls.certificate)] if tls.certificate is not None else []
    return [*own, Ending("authority", tls.ca)]


def warnings(tls: TlsSettings, now: datetime) -> list[str]:
    """A sentence for each certificate that has expired or will soon; or one that says why that is unknown."""
    if not _readable:
        return [f"when the TLS certificates expire is unknown: {missing_extra('cryptography', 'site')}"]
    found = []
    for ending in endings(tls):
        seconds = ending.seconds_left(now)
        what = f"the TLS {ending.role} {ending.path}"
        if seconds < 0:
            found.append(f"{what} expired {-seconds / 86_400:.0f} days ago; renew it")
        elif seconds < NEAR.total_seconds():
            found.append(f"{what} expires in {seconds / 86_400:.0f} days; renew it (patchline provision renew)")
    return found


def warn(tls: TlsSettings, tell: Callable[[str], None]) -> None:
    """Report the warnings of this moment."""
    for sentence in warnings(tls, datetime.now(UTC)):
        tell(sentence)


def warn_until(stop: threading.Event, tls: TlsSettings, tell: Callable[[str], None]) -> None:
    """Report them again four times a day, until stopped; renewed files are read again."""
    while not stop.wait(_CHECK_EVERY_SECONDS):
        warn(tls, tell)
