"""From pixels to payload, as the station's profile says."""

import time
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from patchline.vision.codecs.image.protocol import ImageCodec
from patchline.vision.codecs.lookup import codec_of, is_feature_codec
from patchline.vision.pixels.arrays import Pixels
from patchline.vision.pixels.picture_health import PictureHealth, look_at
from patchline.vision.pixels.preprocessing import resize
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import Profile, ProfileCodec, Seconds


class Encoded(NamedTuple):
    """What an encoder makes of a picture.

    Attributes:
        stages: Seconds of each step.
        health: Of the picture as it was encoded, resized.
    """

    payload: bytes
    stages: Seconds
    health: PictureHealth


class Encoder(Protocol):
    """One codec of a profile's ladder at work."""

    @property
    def profile(self) -> Profile:
        """The profile it comes from."""
        ...

    @property
    def profile_codec(self) -> ProfileCodec:
        """The codec's name, the artifact that judges what it encodes, and what it needs."""
        ...

    def encode(self, pixels: Pixels) -> Encoded:
        """The payload of a picture, the seconds each step to it took, and what the picture says of its camera.

        Raises:
            MisconfiguredError: The codec cannot carry such a picture.
        """
        ...


class MakesEncoders(Protocol):
    """Makes the encoders that need more than a name: a backbone, and what was learnt at commissioning."""

    def make(self, profile: Profile, profile_codec: ProfileCodec) -> Encoder:
        """The encoder of a feature codec's codec.

        Raises:
            MisconfiguredError: Its backbone, its taps or its asset is not what the profile says.
        """
        ...


@dataclass(frozen=True, slots=True)
class ImageEncoder:
    """Sends pictures.

    Attributes:
        codec: The codec itself.
    """

    profile: Profile
    profile_codec: ProfileCodec
    codec: ImageCodec

    def encode(self, pixels: Pixels) -> Encoded:
        """See `Encoder.encode`; the steps are `resize` and `encode`."""
        started = time.perf_counter()
        resized = resize(pixels, self.profile.input_size)
        halfway = time.perf_counter()
        payload = self.codec.encode(resized)
        stages = {"resize": halfway - started, "encode": time.perf_counter() - halfway}
        return Encoded(payload, stages, look_at(resized))


def encoder_of(profile: Profile, codec: str = "", *, features: MakesEncoders | None = None) -> Encoder:
    """The encoder of a profile's codec, or of its first one.

    Args:
        profile: The station's.
        codec: A full name.
        features: Makes the encoders of feature codecs, where this node can run a backbone.

    Raises:
        MisconfiguredError: The codec is not on the profile's ladder, or this edge node cannot encode it.
    """
    for profile_codec in profile.ladder:
        if codec in {"", profile_codec.codec}:
            return _made(profile, profile_codec, features)
    ladder = ", ".join(profile_codec.codec for profile_codec in profile.ladder)
    raise MisconfiguredError(f"codec {codec!r} is not on the station's ladder", remedy=f"choose from {ladder}")


def _made(profile: Profile, profile_codec: ProfileCodec, features: MakesEncoders | None) -> Encoder:
    if features is not None and is_feature_codec(profile_codec.codec):
        return features.make(profile, profile_codec)
    return ImageEncoder(profile, profile_codec, codec_of(profile_codec.codec))
