"""The encoder in use, and whether the station captures at all."""

import threading

from edge_node.encoding.image_encoder import Encoder, MakesEncoders, encoder_of
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import Profile

_POLL_SECONDS = 0.5


class ActiveEncoder:
    """Shared by the capture loop, which uses it, and the threads of profiles and commands, which change it.

    An encoder is prepared without a lock, which may take seconds, and put into use only if nobody changed the encoder
    meanwhile; otherwise it is prepared again from what is in use then.

    Args:
        features: Makes the encoders of feature codecs, where this node can run a backbone.
    """

    def __init__(self, features: MakesEncoders | None = None) -> None:
        self._features = features
        self._changed = threading.Condition()
        self._encoder: Encoder | None = None
        self._paused = False

    @property
    def encoder(self) -> Encoder | None:
        """What encodes the next picture; None before the first profile."""
        with self._changed:
            return self._encoder

    @property
    def paused(self) -> bool:
        """Whether a command stopped the capture."""
        with self._changed:
            return self._paused

    def use(self, profile: Profile) -> None:
        """Take a profile into use, with the codec in use if it is still on the ladder.

        Raises:
            MisconfiguredError: This edge node cannot encode any such picture.
        """
        ladder = {profile_codec.codec for profile_codec in profile.ladder}
        while True:
            before = self.encoder
            codec = before.profile_codec.codec if before and before.profile_codec.codec in ladder else ""
            if self._replace(before, encoder_of(profile, codec, features=self._features)):
                return

    def choose(self, codec: str) -> None:
        """Change to another codec of the ladder of the profile in use.

        Raises:
            MisconfiguredError: It is not on the ladder, or there is no profile yet.
        """
        while True:
            before = self.encoder
            if self._replace(before, self._encoder_for(before, codec)):
                return

    def _encoder_for(self, encoder: Encoder | None, codec: str) -> Encoder:
        if encoder is None:
            raise MisconfiguredError("the station has no profile yet")
        return encoder_of(encoder.profile, codec, features=self._features)

    def pause(self, *, paused: bool) -> None:
        """Stop or go on capturing."""
        with self._changed:
            self._paused = paused
            self._changed.notify_all()

    def _replace(self, before: Encoder | None, encoder: Encoder) -> bool:
        """Use an encoder from now on, unless another one than `before` is in use by now; whether it is used."""
        with self._changed:
            if self._encoder is not before:
                return False
            self._encoder = encoder
            self._changed.notify_all()
            return True

    def await_encoder(self, stop: threading.Event) -> Encoder | None:
        """Block while paused or without a profile; None once stopped."""
        with self._changed:
            while not stop.is_set():
                if self._encoder is not None and not self._paused:
                    return self._encoder
                self._changed.wait(_POLL_SECONDS)
        return None
