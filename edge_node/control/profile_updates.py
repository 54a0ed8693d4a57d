"""What the service tells the station: its profile, the assets the profile needs, and commands."""

import logging

from edge_node.control.active_encoder import ActiveEncoder
from edge_node.control.profile_cache import ProfileCache
from edge_node.control.status_publisher import StatusPublisher
from edge_node.metrics import EdgeMetrics
from patchline.mqtt.delivery import Delivery
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import MAX_ASSET_CHUNK_BYTES, AssetChunk, Command, Profile, from_json, unpack

_log = logging.getLogger(__name__)

_ENVELOPE_BYTES = 4096


class ProfileUpdates:
    """Obeys on the inbox's thread, and answers on `status`.

    Args:
        station: Whose orders these must be.
        mode: What they change.
        cache: Where profiles and assets are kept.
        announcer: Tells what became of an order.
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
        """Take a profile into use, or ask for the assets it needs.

        Raises:
            UnreadableError: It is damaged, another station's, or not signed by whom this station listens to.
            UnavailableError: The disk cannot take it.
        """
        if not delivery.payload:
            _log.warning("the service withdrew the profile of %s; the last one stays in use", self._station)
            return
        profile = self._cache.read(delivery.payload)
        encoder = self._active_encoder.encoder
        if encoder is not None and encoder.profile.fingerprint == profile.fingerprint:
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
        missing = self._cache.missing
        complete = self._cache.add(chunk)
        if complete is not None:
            self._use(complete)
        elif self._cache.missing != missing:
            self._status_publisher.announce()

    def receive_command(self, delivery: Delivery) -> None:
        """Obey a command.

        Raises:
            UnreadableError: It is not one.
        """
        command: Command = from_json(delivery.payload, Command)
        error = ""
        try:
            self._obey(command)
        except MisconfiguredError as refusal:
            error = str(refusal)
            _log.warning("command %s refused: %s", command.name, error)
        else:
            _log.info("command %s obeyed", command.name)
        self._status_publisher.announce(answers=command.command_id, error=error)

    def _obey(self, command: Command) -> None:
        match command.name:
            case "pause" | "resume":
                self._active_encoder.pause(paused=command.name == "pause")
                self._metrics.paused.set(command.name == "pause")
            case "use_codec":
                self._active_encoder.choose(command.codec)
                self._show()

    def _use(self, profile: Profile) -> None:
        try:
            self._active_encoder.use(profile)
        except MisconfiguredError as error:
            _log.error("profile %s cannot be used: %s", profile.fingerprint[:12], error)
            self._status_publisher.announce(error=str(error))
            return
        _log.info("profile %s in use, codec %s", profile.fingerprint[:12], profile.ladder[0].codec)
        self._show()
        self._status_publisher.announce()

    def _show(self) -> None:
        encoder = self._active_encoder.encoder
        if encoder is not None:
            self._metrics.show_profile(self._station, encoder.profile.fingerprint, encoder.rung.codec)
