"""A site's own certificate authority: ECDSA on P-256, certificates of one purpose each, one revocation list.

The authority's key is used for signing only; it is in a folder of its own that belongs on a machine without a network.
Certificates follow RFC 5280; the names of a server are in its subject alternative name (RFC 6125).
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Self

from broker_config import private_files
from broker_config.site import MOST_NAME_CHARACTERS
from patchline.wire.errors import MisconfiguredError, missing_extra

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as error:
    raise missing_extra("cryptography", "site") from error

Purpose = Literal["server", "client"]

KEY_FILE = "ca.key"
CERTIFICATE_FILE = "ca.crt"
AUTHORITY_YEARS = 10

_CLOCK_SLACK = timedelta(hours=1)
"""The clock of a board without a battery may be late after a start."""
_USAGES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, both PEM."""

    certificate: bytes
    key: bytes
    serial: int
    not_after: datetime


class Authority:
    """Signs for one site.

    Args:
        key: The authority's private key.
        certificate: Its own certificate.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key, self._certificate = key, certificate

    @classmethod
    def create(cls, folder: Path, site: str, *, now: datetime) -> Self:
        """Make a new authority and write it to a folder.

        Raises:
            UnavailableError: The folder cannot be written.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"patchline authority of {site}"[:MOST_NAME_CHARACTERS])
        unsigned = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _CLOCK_SLACK)
            .not_valid_after(now + timedelta(days=365 * AUTHORITY_YEARS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        made = cls(key, unsigned.sign(key, hashes.SHA256()))
        private_files.private_folder(folder)
        private_files.write(folder / KEY_FILE, _pem_of(key), private=True)
        private_files.write(folder / CERTIFICATE_FILE, made.certificate)
        return made

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The authority kept in a folder.

        Raises:
            MisconfiguredError: Its key or certificate is missing or damaged.
        """
        try:
            key = load_pem_private_key((folder / KEY_FILE).read_bytes(), None)
            certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE_FILE).read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise MisconfiguredError(
                f"the site's authority cannot be opened: {error}",
                where=str(folder),
                remedy=f"bring back the folder with {KEY_FILE} and {CERTIFICATE_FILE}",
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise MisconfiguredError("the authority's key is not an elliptic curve's", where=str(folder / KEY_FILE))
        return cls(key, certificate)

    @property
    def certificate(self) -> bytes:
        """The certificate that all members of the site trust, PEM."""
        return self._certificate.public_bytes(Encoding.PEM)

    @property
    def not_after(self) -> datetime:
        """When the authority expires, and with it everything it signed."""
        return self._certificate.not_valid_after_utc

    def issue(
        self, name: str, purpose: Purpose, *, hosts: Iterable[str] = (), not_before: datetime, not_after: datetime
    ) -> Issued:
        """Issue a certificate with a new key; it never outlives the authority.

        Args:
            name: Its common name, which is the user name at the broker.
            purpose: A client's certificate is not valid for a server, nor a server's for a client.
            hosts: Names and addresses of a server.
            not_before: From when it is valid, less an hour for clocks that are late.
            not_after: Until when it is valid.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        end = min(not_after, self.not_after).replace(microsecond=0)
        unsigned = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(serial := x509.random_serial_number())
            .not_valid_before(not_before - _CLOCK_SLACK)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([_USAGES[purpose]]), critical=False)
            .add_extension(x509.SubjectAlternativeName(_alternatives(name, hosts)), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        certificate = unsigned.sign(self._key, hashes.SHA256())
        return Issued(certificate.public_bytes(Encoding.PEM), _pem_of(key), serial, end)

    def revocations(self, revoked: Iterable[tuple[int, datetime]], *, now: datetime) -> bytes:
        """The list of revoked certificates, PEM.

        It is valid as long as the authority: a broker with an expired list refuses every client, and a line must not
        stop because nobody signed an unchanged list again.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now - _CLOCK_SLACK)
            .next_update(self.not_after)
            .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        for serial, when in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


def utc_now() -> datetime:
    """Now, to the second, as in certificates."""
    return datetime.now(UTC).replace(microsecond=0)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternatives(name: str, hosts: Iterable[str]) -> list[x509.GeneralName]:
    """The names of a server; a client has no host, so its common name is repeated in a URN."""
    found: list[x509.GeneralName] = []
    for host in hosts:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            found.append(x509.DNSName(host))
    return found or [x509.UniformResourceIdentifier(f"urn:patchline:{name}")]


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
