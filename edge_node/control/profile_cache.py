"""The last profile in use and its assets, on the station's disk: the station starts and encodes without a broker."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge_node.control.asset_download import AssetDownload, AssetRequest
from patchline.runtime.atomic_file import write_atomically
from patchline.runtime.signing import VerifyKey
from patchline.wire.errors import UnavailableError, UnreadableError
from patchline.wire.messages import (
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
    return {asset.sha256: asset for profile_codec in profile.ladder for asset in profile_codec.assets}


def nowhere(asset: AssetReference) -> bool:
    """No asset is anywhere but in the cache."""
    del asset
    return False


class ProfileCache:
    """A folder with `profile.msgpack` and `assets/<sha256>`; all methods may be called from any thread.

    A profile is used once all its assets are here, and kept once it is in use; until then the one before it goes on.

    Args:
        directory: The folder; made where missing.
        station: Whose profile is looked for.
        max_asset_bytes: The largest asset accepted; an asset is held in memory until it is whole.
        verify_key: Whose owner must have signed a profile, also a cached one; any profile is taken without.
        at_hand: Tells the assets that this computer has elsewhere, and that need not be fetched.
        budget_bytes: What the assets of earlier profiles may use beside those in use; the oldest are deleted first.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        directory: Path,
        station: str,
        *,
        max_asset_bytes: int = 64 * 1024 * 1024,
        verify_key: VerifyKey | None = None,
        at_hand: Callable[[AssetReference], bool] = nowhere,
        budget_bytes: int = 128 * 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory, self._station, self._max_asset_bytes = directory, station, max_asset_bytes
        self._at_hand, self._verify_key = at_hand, verify_key
        self._budget_bytes, self._clock = budget_bytes, clock
        self._lock = threading.RLock()
        self._wanted: Profile | None = None
        self._kept: Profile | None = None
        self._download = AssetDownload()

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
        self._kept = profile
        return profile

    def offer(self, profile: Profile) -> Profile | None:
        """A profile from the service: returned if all its assets are here, else remembered until they are.

        Raises:
            UnreadableError: One of its assets is larger than accepted.
        """
        missing = {digest: asset for digest, asset in assets_of(profile).items() if not self._has(asset)}
        for asset in missing.values():
            if asset.size > self._max_asset_bytes:
                raise UnreadableError(
                    f"asset {asset.name} of {asset.size} bytes is over the limit of {self._max_asset_bytes}",
                    code="size",
                )
        with self._lock:
            self._wanted = profile
            self._download.want(missing)
            return self._complete()

    def cancel(self) -> None:
        """The profile that waits for its assets is no longer wanted."""
        with self._lock:
            self._wanted = None
            self._download.want({})

    @property
    def missing(self) -> tuple[str, ...]:
        """The sha256 of each asset that the wanted profile lacks."""
        with self._lock:
            return self._download.missing

    def next_request(self) -> AssetRequest | None:
        """The range of an asset to ask for now, if one is due."""
        with self._lock:
            return self._download.next_request(self._clock())

    def not_asked(self) -> None:
        """The last request could not be published."""
        with self._lock:
            self._download.not_asked()

    def add(self, chunk: AssetChunk) -> Profile | None:
        """Take a piece of an asset; the wanted profile when this made it complete.

        Raises:
            UnreadableError: The piece does not fit its asset, or the whole has another digest.
            UnavailableError: The disk cannot take it; the same piece may be added again.
        """
        with self._lock:
            content = self._download.add(chunk, self._clock())
            if content is None:
                return None
            if sha256_of(content) != chunk.sha256:
                self._download.restart(chunk.sha256)
                raise UnreadableError(f"asset {chunk.sha256[:12]} does not hash to its name", code="sha256")
            write_atomically(self._asset_path(chunk.sha256), content)
            self._download.finished(chunk.sha256)
            return self._complete()

    def keep(self, profile: Profile) -> None:
        """A profile is in use: load it at the next start, and delete assets of earlier profiles over the budget.

        Raises:
            UnavailableError: The disk cannot take it.
        """
        with self._lock:
            if self._kept != profile:
                write_atomically(self._directory / "profile.msgpack", pack(profile))
                self._kept = profile
                self._delete_old_assets(profile)

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
        if profile is None or self._download.missing:
            return None
        self._wanted = None
        return profile

    def _delete_old_assets(self, profile: Profile) -> None:
        needed = assets_of(profile).keys() | (assets_of(self._wanted).keys() if self._wanted else set())
        try:
            files = [(path.stat(), path) for path in (self._directory / "assets").glob("*") if path.name not in needed]
            total = 0
            for told, path in sorted(files, key=lambda file: file[0].st_mtime, reverse=True):
                total += told.st_size
                if total > self._budget_bytes:
                    path.unlink()
                    _log.info("asset %s of an earlier profile deleted", path.name[:12])
        except OSError as error:
            _log.warning("assets of earlier profiles cannot be deleted: %s", error.strerror)

    def _asset_path(self, sha256: str) -> Path:
        return self._directory / "assets" / sha256

    def _has(self, asset: AssetReference) -> bool:
        try:
            self.asset(asset.sha256)
        except UnavailableError:
            return self._at_hand(asset)
        return True
