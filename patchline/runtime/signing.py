"""Who commissioned it: Ed25519 signatures over profiles and artifacts (RFC 8032).

Mutual TLS says who is at the other end of a hop. It does not say who made what comes through the broker: whoever may
write to a profile's topic could make a station encode otherwise. So `commission --signing-key` signs, and an edge node
or a service that was given the public half refuses what the key's owner did not sign.

What is signed is a short text: what it is for, a line break, and the sha256 of what it is about. A signature over a
profile can therefore never pass for one over an artifact. The openssl program can check one, too: see
docs/explanation/security.md.
"""

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from patchline.wire.errors import MisconfiguredError, UnreadableError, missing_extra

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Subject = Literal["artifact", "profile"]

SUFFIX = ".sig"
SIGNATURE_BYTES = 64
_MOST_KEY_BYTES = 16 * 1024
_MOST_FILE_BYTES = 256


def statement(subject: Subject, sha256: str) -> bytes:
    """The text a signature is made over."""
    return f"patchline {subject} v1\n{sha256}".encode()


class SigningKey:
    """The private half; its owner decides what stations encode with and services judge with.

    Args:
        path: PEM file (PKCS 8), not encrypted.

    Raises:
        MisconfiguredError: It is missing or no Ed25519 key, or the extra that signs is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._key = _private_key(path)

    def sign(self, subject: Subject, sha256: str) -> bytes:
        """The 64 bytes of a signature."""
        return self._key.sign(statement(subject, sha256))

    def verify_pem(self) -> bytes:
        """The public half, as the PEM file that `VerifyKey` takes."""
        return _public_pem(self._key)


class VerifyKey:
    """The public half.

    Args:
        path: PEM file.

    Raises:
        MisconfiguredError: It is missing or no Ed25519 key, or the extra that verifies is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._key = _public_key(path)
        self.path = path

    def check(self, subject: Subject, sha256: str, signature: bytes) -> None:
        """Make sure that the key's owner signed this.

        Raises:
            UnreadableError: There is no signature, or it is not the owner's over this.
        """
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - the base install has no cryptography

        if not signature:
            raise UnreadableError(
                f"the {subject} {sha256[:12]} is not signed, and {self.path} asks for it", code="signature"
            )
        try:
            self._key.verify(signature, statement(subject, sha256))
        except InvalidSignature as error:
            raise UnreadableError(
                f"the {subject} {sha256[:12]} is not signed by the owner of {self.path}", code="signature"
            ) from error


def generate() -> tuple[bytes, bytes]:
    """A new key pair: the private and the public half, both PEM.

    Raises:
        MisconfiguredError: The extra that signs is not installed.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - as above
            Encoding,
            NoEncryption,
            PrivateFormat,
        )
    except ImportError as error:
        raise missing_extra("cryptography", "site") from error
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), _public_pem(key)


def to_file(signature: bytes) -> bytes:
    """A signature as the one line of text of a `.sig` file."""
    return base64.b64encode(signature) + b"\n"


def from_file(path: Path) -> bytes:
    """The signature in a `.sig` file; empty where there is no such file.

    Raises:
        UnreadableError: The file holds something else.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_FILE_BYTES + 1)
        signature = base64.b64decode(content.strip(), validate=True)
    except FileNotFoundError:
        return b""
    except (OSError, binascii.Error, ValueError) as error:
        raise UnreadableError(f"the signature {path} cannot be read: {error}", code="signature") from error
    if len(signature) != SIGNATURE_BYTES:
        raise UnreadableError(f"{path} holds no signature", code="signature")
    return signature


def _public_pem(key: "Ed25519PrivateKey") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 - as above

    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _private_key(path: Path) -> "Ed25519PrivateKey":
    try:
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - as above
    except ImportError as error:
        raise missing_extra("cryptography", "site") from error
    try:
        key = load_pem_private_key(_read(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable(path, "signing") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(path, "signing")
    return key


def _public_key(path: Path) -> "Ed25519PublicKey":
    try:
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - as above
        from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 - as above
    except ImportError as error:
        raise missing_extra("cryptography", "site") from error
    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable(path, "verify") from error
    if not isinstance(key, Ed25519PublicKey):
        raise _unusable(path, "verify")
    return key


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_KEY_BYTES)
    except OSError as error:
        raise MisconfiguredError(
            f"the key cannot be read: {error.strerror}",
            where=str(path),
            remedy="name the PEM file that provision wrote",
        ) from error


def _unusable(path: Path, use: str) -> MisconfiguredError:
    # The library's own words are left out: they could quote what stands in the file.
    half = {"signing": "private", "verify": "public"}[use]
    return MisconfiguredError(
        f"this is no {use} key", where=str(path), remedy=f"give the {half} half of an Ed25519 key as PEM, unencrypted"
    )
