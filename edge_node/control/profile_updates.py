"""What the service sends to the station: its profile, and the assets the profile needs."""

import logging

from edge_node.control.active_encoder import ActiveEncoder
from edge_node.control.profile_cache import ProfileCache
from edge_node.control.status_publisher import StatusPublisher
from edge_node.metrics import EdgeMetrics
from patchline.mqtt.delivery import Delivery
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import MAX_ASSET_CHUNK_BYTES, AssetChunk, Profile, unpack

_log = logging.getLogger(__name__)

_ENVELOPE_BYTES = 4096


def show_encoder(metrics: EdgeMetrics, active_encoder: ActiveEncoder) -> None:
    """Show the profile and the codec in use."""
    encoder = active_encoder.encoder
    if encoder is not None:
        metrics.show_profile(encoder.profile.station, encoder.profile.fingerprint, encoder.profile_codec.codec)


class ProfileUpdates:
    """Takes profiles into use, on a thread that no verdict waits for: it may load networks.

    Args:
        station: Whose profiles these must be.
        active_encoder: Changed.
        cache: Where profiles and assets are kept.
        status_publisher: Publishes which profile is in use, and which assets are missing.
        metrics: Where the profile in use is shown.
    """

    def __init__(
        self,
        station: str,
        active_encoder: ActiveEncoder,
        cache: ProfileCache,
        status_publisher: StatusPublisher,
        metrics: EdgeMetrics,
    ) -> None:
        self._station, self._active_encoder, self._cache = station, active_encoder, cache
        self._status_publisher, self._metrics = status_publisher, metrics

    def boot(self) -> None:
        """Begin with the cached profile, if there is a whole one."""
        profile = self._cache.load()
        if profile is not None:
            self._use(profile)

    def receive_profile(self, delivery: Delivery) -> None:
        """Take a profile into use, or ask for the assets it needs; a profile that waited for its assets is forgotten.

        Raises:
            UnreadableError: It is damaged, another station's, or not signed by whom this station listens to.
            UnavailableError: The disk cannot take it.
        """
        if not delivery.payload:
            self._cache.cancel()
            _log.warning("the service withdrew the profile of %s; the last one stays in use", self._station)
            return
        profile = self._cache.read(delivery.payload)
        encoder = self._active_encoder.encoder
        if encoder is not None and encoder.profile.fingerprint == profile.fingerprint:
            self._cache.cancel()
            self._cache.keep(profile)
            return
        complete = self._cache.offer(profile)
        if complete is None:
            _log.info("profile %s waits for %d assets", profile.fingerprint[:12], len(self._cache.missing))
            self._status_publisher.announce()
        else:
            self._use(complete)

    def receive_asset(self, delivery: Delivery) -> None:
        """Take a piece of an asset.

        Raises:
            UnreadableError: It does not fit.
            UnavailableError: The disk cannot take it.
        """
        chunk: AssetChunk = unpack(delivery.payload, AssetChunk, limit=MAX_ASSET_CHUNK_BYTES + _ENVELOPE_BYTES)
        complete = self._cache.add(chunk)
        if complete is not None:
            self._use(complete)
        else:
            self._status_publisher.wake()

    def _use(self, profile: Profile) -> None:
        try:
            self._active_encoder.use(profile)
        except MisconfiguredError as error:
            _log.error("profile %s cannot be used: %s", profile.fingerprint[:12], error)
            self._status_publisher.announce(error=str(error))
            return
        _log.info("profile %s in use, codec %s", profile.fingerprint[:12], profile.ladder[0].codec)
        show_encoder(self._metrics, self._active_encoder)
        self._status_publisher.announce()
        self._cache.keep(profile)
