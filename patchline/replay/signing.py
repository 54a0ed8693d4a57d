"""A signed line: everything that a run's programs load is signed, and they refuse what is not."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from patchline.artifacts.signatures import FOLDER, check_artifact
from patchline.runtime.atomic_file import write_atomically
from patchline.runtime.signing import SigningKey, VerifyKey, generate

VERIFY_FILE = "verify.pem"


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Who signs for a run.

    Attributes:
        key: The private half.
        verify_key: The file of the public half, which service and stations are given.
        throwaway: The key was made for this run and is gone with it: it says nothing about what was made before.
    """

    key: SigningKey
    verify_key: Path
    throwaway: bool

    def check(self, path: Path, fingerprint: str) -> None:
        """Make sure that this key's owner signed an artifact that was made before; a throwaway key takes any.

        Raises:
            MisconfiguredError: It is not signed, or not by the key's owner.
        """
        if not self.throwaway:
            folder = next((each for each in path.parents if (each / FOLDER).is_dir()), path.parent)
            check_artifact(folder, path, fingerprint, VerifyKey(self.verify_key))


def signer_of(folder: Path, signing_key: Path | None) -> Signer:
    """Sign with a key, or with one made for this run; the public half is written into the run's folder.

    Raises:
        MisconfiguredError: The key is missing or none, or the extra that signs is not installed.
        UnavailableError: The folder cannot be written.
    """
    key = SigningKey(signing_key) if signing_key is not None else _new_key()
    write_atomically(folder / VERIFY_FILE, key.verify_pem())
    return Signer(key=key, verify_key=folder / VERIFY_FILE, throwaway=signing_key is None)


def _new_key() -> SigningKey:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "signing.key"
        path.write_bytes(generate()[0])
        return SigningKey(path)
