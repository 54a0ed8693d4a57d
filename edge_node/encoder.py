"""From pixels to payload, as the station's profile says."""

import time
from dataclasses import dataclass

from edge_node.sources.protocol import Pixels
from vision.codecs.lookup import codec_of
from vision.codecs.protocol import ImageCodec
from vision.preprocessing import resize
from wire_contract.errors import MisconfiguredError
from wire_contract.messages import Profile, ProfileCodec, Seconds


@dataclass(frozen=True, slots=True)
class Encoder:
    """One rung of a profile's ladder at work.

    Attributes:
        profile: The profile it comes from.
        rung: The codec's name and the artifact that judges what it encodes.
        codec: The codec itself.
    """

    profile: Profile
    rung: ProfileCodec
    codec: ImageCodec

    def encode(self, pixels: Pixels) -> tuple[bytes, Seconds]:
        """The payload of a picture, and the seconds its resizing and encoding took.

        Raises:
            MisconfiguredError: The codec cannot carry such a picture.
        """
        started = time.perf_counter()
        resized = resize(pixels, self.profile.input_size)
        halfway = time.perf_counter()
        payload = self.codec.encode(resized)
        return payload, {"resize": halfway - started, "encode": time.perf_counter() - halfway}


def encoder_of(profile: Profile, codec: str = "") -> Encoder:
    """The encoder of a profile's codec, or of its first one.

    Raises:
        MisconfiguredError: The codec is not on the profile's ladder, or this edge node cannot encode it.
    """
    for rung in profile.ladder:
        if codec in {"", rung.codec}:
            return Encoder(profile, rung, codec_of(rung.codec))
    ladder = ", ".join(rung.codec for rung in profile.ladder)
    raise MisconfiguredError(f"codec {codec!r} is not on the station's ladder", remedy=f"choose from {ladder}")
