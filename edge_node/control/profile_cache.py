"""The last good profile and its assets on the station's own disk: it boots and encodes without a broker."""

import logging
from collections.abc import Callable
from pathlib import Path

from patchline.runtime.atomic_file import write_atomically
from patchline.runtime.signing import VerifyKey
from patchline.wire.errors import UnavailableError, UnreadableError
from patchline.wire.messages import (
    MAX_ASSET_CHUNK_BYTES,
    MAX_PROFILE_BYTES,
    AssetChunk,
    AssetReference,
    Profile,
    check_profile,
    pack,
    sha256_of,
    unpack,
)

_log = logging.getLogger(__name__)

_WRONG = {"signature": "not to be trusted"}


def read_profile(payload: bytes, station: str, verify_key: VerifyKey | None = None) -> Profile:
    """A profile as the service publishes it.

    Raises:
        UnreadableError: It is too long, malformed, not whole, another station's, or not signed with the key asked for.
    """
    profile: Profile = unpack(payload, Profile, limit=MAX_PROFILE_BYTES)
    check_profile(profile)
    if profile.station != station:
        raise UnreadableError(f"the profile is for {profile.station}, not {station}", code="profile")
    if verify_key is not None:
        verify_key.check("profile", profile.fingerprint, profile.signature)
    return profile


def assets_of(profile: Profile) -> dict[str, AssetReference]:
    """Every asset a profile needs, by sha256."""
    return {asset.sha256: asset for rung in profile.ladder for asset in rung.assets}


def nowhere(asset: AssetReference) -> bool:
    """No asset is anywhere but in the cache."""
    del asset
    return False


class ProfileCache:
    """A folder with `profile.msgpack` and `assets/<sha256>`. One thread at a time.

    A profile is kept and used only once all its assets are here; until then the one before it goes on.

    Args:
        directory: The folder; made where missing.
        station: Whose profile is looked for.
        max_asset_bytes: The largest asset accepted; chunks wait in memory until their asset is whole.
        verify_key: Whose owner must have signed a profile, also a cached one; any profile is taken without.
        at_hand: Tells the assets that this computer has elsewhere, and that need not be fetched.
    """

    def __init__(
        self,
        directory: Path,
        station: str,
        *,
        max_asset_bytes: int = 64 * 1024 * 1024,
        verify_key: VerifyKey | None = None,
        at_hand: Callable[[AssetReference], bool] = nowhere,
    ) -> None:
        self._directory, self._station, self._max_asset_bytes = directory, station, max_asset_bytes
        self._at_hand, self._verify_key = at_hand, verify_key
        self._wanted: Profile | None = None
        self._partial: dict[str, dict[int, bytes]] = {}

    def read(self, payload: bytes) -> Profile:
        """A profile that this station may take; see `read_profile`."""
        return read_profile(payload, self._station, self._verify_key)

    def load(self) -> Profile | None:
        """The cached profile, if it and all its assets are whole; damage is logged and counts as absence."""
        path = self._directory / "profile.msgpack"
        try:
            profile = self.read(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("cached profile %s cannot be read, ignored: %s", path, error.strerror)
            return None
        except UnreadableError as error:
            _log.warning("cached profile %s is %s, ignored: %s", path, _WRONG.get(error.code, "damaged"), error.reason)
            return None
        missing = [digest for digest, asset in assets_of(profile).items() if not self._has(asset)]
        if missing:
            _log.warning("cached profile %s is ignored: its asset %s is missing or damaged", path, missing[0])
            return None
        return profile

    def offer(self, profile: Profile) -> Profile | None:
        """A profile from the service: kept and returned if complete, else remembered until its assets are here.

        Raises:
            UnreadableError: One of its assets is larger than accepted.
            UnavailableError: The disk cannot take it.
        """
        for asset in assets_of(profile).values():
            if asset.size > self._max_asset_bytes and not self._has(asset):
                raise UnreadableError(
                    f"asset {asset.name} of {asset.size} bytes is over the limit of {self._max_asset_bytes}",
                    code="size",
                )
        self._wanted = profile
        self._partial = {digest: self._partial.get(digest, {}) for digest in self.missing}
        return self._complete()

    @property
    def missing(self) -> tuple[str, ...]:
        """sha256 of each asset the wanted profile still lacks."""
        wanted = assets_of(self._wanted) if self._wanted else {}
        return tuple(digest for digest, asset in wanted.items() if not self._has(asset))

    def add(self, chunk: AssetChunk) -> Profile | None:
        """Take a piece of an asset; the wanted profile when this made it complete.

        Raises:
            UnreadableError: The piece does not fit its asset, or the whole has another digest.
            UnavailableError: The disk cannot take it.
        """
        reference = assets_of(self._wanted).get(chunk.sha256) if self._wanted else None
        if reference is None or chunk.sha256 not in self._partial:
            return None
        if (
            chunk.size != reference.size
            or chunk.offset % MAX_ASSET_CHUNK_BYTES
            or chunk.offset + len(chunk.data) > reference.size
        ):
            raise UnreadableError(f"a chunk does not fit asset {reference.name}", code="asset")
        pieces = self._partial[chunk.sha256]
        pieces[chunk.offset] = chunk.data
        if sum(map(len, pieces.values())) < reference.size:
            return None
        content = b"".join(pieces[offset] for offset in sorted(pieces))
        self._partial[chunk.sha256] = {}
        if sha256_of(content) != reference.sha256:
            raise UnreadableError(f"asset {reference.name} does not hash to its name", code="sha256")
        write_atomically(self._asset_path(reference.sha256), content)
        del self._partial[chunk.sha256]
        return self._complete()

    def asset(self, sha256: str) -> bytes:
        """An asset of the profile in use.

        Raises:
            UnavailableError: It is not here, or damaged since.
        """
        try:
            content = self._asset_path(sha256).read_bytes()
        except OSError as error:
            raise UnavailableError(f"asset {sha256} cannot be read: {error.strerror}") from error
        if sha256_of(content) != sha256:
            raise UnavailableError(f"asset {sha256} is damaged on this disk")
        return content

    def _complete(self) -> Profile | None:
        profile = self._wanted
        if profile is None or self.missing:
            return None
        write_atomically(self._directory / "profile.msgpack", pack(profile))
        self._wanted = None
        return profile

    def _asset_path(self, sha256: str) -> Path:
        return self._directory / "assets" / sha256

    def _has(self, asset: AssetReference) -> bool:
        try:
            self.asset(asset.sha256)
        except UnavailableError:
            return self._at_hand(asset)
        return True
