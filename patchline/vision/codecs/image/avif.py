"""The codec `avif:QUALITY`: still pictures of AV1; the fewest bytes, for the most time."""

import io
from dataclasses import dataclass
from typing import ClassVar, Self

from PIL import Image, features

from patchline.vision.codecs.image.avif_header import declared_size
from patchline.vision.codecs.image.families import LossyCodec, decode_picture
from patchline.vision.codecs.image.protocol import Pixels, check_size, checked_pixels
from patchline.vision.pixels.arrays import Size
from patchline.wire.errors import MisconfiguredError

SPEED = 8
"""libaom's, 0 (slowest) to 10. Measured on 224x224 photographs of bottles at quality 60, on a busy machine: speed 8
takes 26 ms and gives 3.1 kB, 9 and 10 take 8 ms for 4.2 kB, 6 takes 47 ms for 2.8 kB, 4 takes 0.5 s for 2.7 kB."""

LONGEST_SIDE = 16384
"""Pixels; what libavif decodes at most."""


@dataclass(frozen=True)
class AvifCodec(LossyCodec):
    """Pixels as AVIF, colours at half the resolution. Damage inside may decode to other pixels."""

    family: ClassVar[str] = "avif"
    usage: ClassVar[str] = "avif:QUALITY (1 to 100)"
    examples: ClassVar[tuple[str, ...]] = ("avif:1", "avif:60", "avif:100")

    @classmethod
    def parse(cls, parameter: str | None) -> Self:
        """The codec of one quality, written in plain decimal digits; see `ImageCodec.parse`.

        Raises:
            MisconfiguredError: Also where Pillow was built without AVIF.
        """
        codec = super().parse(parameter)
        if not features.check("avif"):
            raise MisconfiguredError(
                "this machine's Pillow cannot read or write AVIF",
                where=f"codec {codec.name}",
                remedy="install a Pillow of 11.3 or newer from a wheel, or choose webp:QUALITY",
            )
        return codec

    def encode(self, pixels: Pixels) -> bytes:
        """See `ImageCodec.encode`; on one thread, for more would make other bytes."""
        picture = io.BytesIO()
        image = Image.fromarray(checked_pixels(pixels, self.name, longest_side=LONGEST_SIDE))
        image.save(picture, "AVIF", quality=self.quality, speed=SPEED, subsampling="4:2:0", max_threads=1)
        return picture.getvalue()

    def decode(self, payload: bytes, size: Size) -> Pixels:
        """See `ImageCodec.decode`. Only what `encode` writes is read: one still picture, no alpha, no grid."""
        check_size(declared_size(payload), size)
        return decode_picture(payload, "AVIF", size)
