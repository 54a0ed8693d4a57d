"""How long our certificates still hold, for a metric and a warning in time."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from patchline.mqtt.certificates import validity_of
from patchline.mqtt.settings import TlsSettings
from patchline.wire.errors import MisconfiguredError

NEAR = timedelta(days=30)
"""How long before a certificate's end we begin to warn."""
_LOOK_EVERY_SECONDS = 6 * 3600.0


@dataclass(frozen=True)
class Ending:
    """A certificate we depend on.

    Attributes:
        role: `certificate`, our own, or `authority`, the one that vouches for the broker.
    """

    role: str
    path: Path

    def seconds_left(self, now: datetime) -> float:
        """Until it ends; negative when it has ended, NaN when the file cannot be read."""
        try:
            return (validity_of(self.path).not_after - now).total_seconds()
        except MisconfiguredError:
            return float("nan")


def endings(tls: TlsSettings) -> list[Ending]:
    """The certificates a link with these settings depends on."""
    own = [Ending("certificate", tls.certificate)] if tls.certificate is not None else []
    return [*own, Ending("authority", tls.ca)]


def warnings(tls: TlsSettings, now: datetime) -> list[str]:
    """A sentence for each certificate that ends soon or has ended."""
    told = []
    for ending in endings(tls):
        seconds = ending.seconds_left(now)
        what = f"the TLS {ending.role} {ending.path}"
        if seconds < 0:
            told.append(f"{what} expired {-seconds / 86_400:.0f} days ago; renew it")
        elif seconds < NEAR.total_seconds():
            told.append(f"{what} expires in {seconds / 86_400:.0f} days; renew it (patchline provision renew)")
    return told


def warn(tls: TlsSettings, tell: Callable[[str], None]) -> None:
    """Tell what ends soon or has ended."""
    for sentence in warnings(tls, datetime.now(UTC)):
        tell(sentence)


def warn_until(stop: threading.Event, tls: TlsSettings, tell: Callable[[str], None]) -> None:
    """Tell it again four times a day, until stopped; files renewed meanwhile are read anew."""
    while not stop.wait(_LOOK_EVERY_SECONDS):
        warn(tls, tell)
