"""What the station is told to do at the moment: with which encoder, and whether at all."""

import threading

from edge_node.encoding.image_encoder import Encoder, MakesEncoders, encoder_of
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import Profile

_POLL_SECONDS = 0.5


class ActiveEncoder:
    """Shared by the capture loop, which obeys it, and the inbox, which changes it.

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
        encoder = self.encoder
        current = encoder.rung.codec if encoder else ""
        ladder = {rung.codec for rung in profile.ladder}
        self._take(encoder_of(profile, current if current in ladder else "", features=self._features))

    def choose(self, codec: str) -> None:
        """Change to another codec of the ladder.

        Raises:
            MisconfiguredError: It is not on the ladder, or there is no profile yet.
        """
        self._take(self.encoder_for(codec))

    def encoder_for(self, codec: str) -> Encoder:
        """The encoder of another codec of the ladder, without changing to it.

        Raises:
            MisconfiguredError: It is not on the ladder, or there is no profile yet.
        """
        encoder = self.encoder
        if encoder is None:
            raise MisconfiguredError("the station has no profile yet")
        return encoder_of(encoder.profile, codec, features=self._features)

    def pause(self, *, paused: bool) -> None:
        """Stop or go on capturing."""
        with self._changed:
            self._paused = paused
            self._changed.notify_all()

    def _take(self, encoder: Encoder) -> None:
        """Encode with it from now on; loading a backbone took its time, and captures went on meanwhile."""
        with self._changed:
            self._encoder = encoder
            self._changed.notify_all()

    def await_encoder(self, stop: threading.Event) -> Encoder | None:
        """Block while paused or without a profile; None once stopped."""
        with self._changed:
            while not stop.is_set():
                if self._encoder is not None and not self._paused:
                    return self._encoder
                self._changed.wait(_POLL_SECONDS)
        return None
