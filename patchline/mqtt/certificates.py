"""When a certificate is valid, read from its DER form with the standard library alone.

A broker that refuses an expired client certificate closes the connection without a word to MQTT, so we look ourselves.
Only the way to the validity is walked (RFC 5280, section 4.1): Certificate, tbsCertificate, then past version, serial
number, signature and issuer.
"""

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from patchline.wire.errors import MisconfiguredError

_PEM_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_VERSION_TAG = 0xA0
_UTC_TIME_TAG = 0x17
_LONG_LENGTH = 0x80


class Validity(NamedTuple):
    """From when until when a certificate holds."""

    not_before: datetime
    not_after: datetime


def validity_of(path: Path) -> Validity:
    """Read the validity of the first certificate in a PEM file.

    Raises:
        MisconfiguredError: The file cannot be read or holds no certificate.
    """
    try:
        block = _PEM_BLOCK.search(path.read_text(encoding="ascii"))
        if block is None:
            raise MisconfiguredError("no certificate in the file", where=str(path), remedy="give a PEM certificate")
        return validity_of_der(ssl.PEM_cert_to_DER_cert(block.group()))
    except (OSError, ValueError) as error:
        raise MisconfiguredError(f"the certificate cannot be read: {error}", where=str(path)) from error


def validity_of_der(der: bytes) -> Validity:
    """Read the validity of a certificate in its DER form.

    Raises:
        ValueError: It is no certificate.
    """
    try:
        return _validity(der)
    except (IndexError, StopIteration) as error:
        raise ValueError("this is no certificate") from error


def check_validity(path: Path, now: datetime) -> None:
    """Make sure that a certificate holds now.

    Raises:
        MisconfiguredError: It has expired or is not valid yet, or cannot be read.
    """
    validity = validity_of(path)
    if now > validity.not_after:
        expired = f"the certificate expired on {validity.not_after:%Y-%m-%d %H:%M} UTC"
        raise MisconfiguredError(expired, where=str(path), remedy="renew it")
    if now < validity.not_before:
        early = f"the certificate is not valid before {validity.not_before:%Y-%m-%d %H:%M} UTC"
        raise MisconfiguredError(early, where=str(path), remedy="check this machine's clock")


def _validity(der: bytes) -> Validity:
    _, certificate = next(_elements(der))
    _, to_be_signed = next(_elements(certificate))
    fields = _elements(to_be_signed)
    tag, _ = next(fields)
    if tag == _VERSION_TAG:
        next(fields)
    next(fields)
    next(fields)
    _, validity = next(fields)
    not_before, not_after = (_time(tag, text) for tag, text in _elements(validity))
    return Validity(not_before, not_after)


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The tag and content of each element in a DER sequence."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length >= _LONG_LENGTH:
            width = length - _LONG_LENGTH
            length = int.from_bytes(der[at : at + width])
            at += width
        yield tag, der[at : at + length]
        at += length


def _time(tag: int, text: bytes) -> datetime:
    digits = text.decode("ascii")
    if tag == _UTC_TIME_TAG:
        digits = ("19" if digits[0] >= "5" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
