"""Signatures over what commission made: artifacts' in files of their own, a profile's inside it.

An artifact's signature is `signatures/<sha256 of the artifact>.sig` in the folder of all artifacts, so that it is found
wherever the artifact's file is moved to, and whatever it is called.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from patchline.runtime import signing
from patchline.runtime.atomic_file import write_atomically
from patchline.runtime.signing import SigningKey, VerifyKey
from patchline.wire.errors import MisconfiguredError, UnreadableError
from patchline.wire.messages import Profile, pack

FOLDER = "signatures"


def check_artifact(folder: Path, path: Path, fingerprint: str, key: VerifyKey) -> None:
    """Make sure that an artifact is signed.

    Args:
        folder: Of all artifacts.
        path: The artifact's file, for the error.
        fingerprint: The sha256 of its content.
        key: Whose owner must have signed it.

    Raises:
        MisconfiguredError: It is not.
    """
    try:
        key.check("artifact", fingerprint, signing.from_file(_path(folder, fingerprint)))
    except UnreadableError as error:
        raise _refused(error, path) from error


def check_signed(profile: Profile, path: Path, key: VerifyKey) -> None:
    """Make sure that a profile is signed.

    Raises:
        MisconfiguredError: It is not.
    """
    try:
        key.check("profile", profile.fingerprint, profile.signature)
    except UnreadableError as error:
        raise _refused(error, path) from error


def sign(folder: Path, profile: Profile, profile_path: Path, fingerprints: Iterable[str], key: SigningKey) -> None:
    """Sign artifacts, and then the profile that names them.

    Args:
        folder: Of all artifacts.
        profile: Sealed; written anew, with its signature.
        profile_path: Where.
        fingerprints: The artifacts.
        key: The owner's.

    Raises:
        UnavailableError: The folder cannot be written.
    """
    for fingerprint in fingerprints:
        write_atomically(_path(folder, fingerprint), signing.to_file(key.sign("artifact", fingerprint)))
    signature = key.sign("profile", profile.fingerprint)
    write_atomically(profile_path, pack(msgspec.structs.replace(profile, signature=signature)))


def _refused(error: UnreadableError, path: Path) -> MisconfiguredError:
    return MisconfiguredError(error.reason, where=str(path), remedy="commission the station again with --signing-key")


def _path(folder: Path, fingerprint: str) -> Path:
    return folder / FOLDER / f"{fingerprint}{signing.SUFFIX}"
