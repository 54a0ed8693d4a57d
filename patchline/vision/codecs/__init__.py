"""Codecs: how a picture becomes bytes on a thin link, and comes back.

A codec is named `family` or `family:parameter`, such as `png` or `webp:80`; the full name travels in every frame and
belongs to the artifact it was calibrated with. One file holds both halves of a codec; one line below registers it.
Image codecs carry pixels; feature codecs carry the feature maps that a backbone at the edge made of them.
"""

from patchline.vision.codecs.features.deflate import DeflateCodec
from patchline.vision.codecs.features.floats import FeaturesCodec, HalfCodec
from patchline.vision.codecs.features.global_pq import GlobalPqCodec
from patchline.vision.codecs.features.int8 import Int8Codec
from patchline.vision.codecs.features.patch_pq import PatchOpqCodec, PatchPqCodec
from patchline.vision.codecs.features.protocol import FeatureCodec
from patchline.vision.codecs.features.residual.codec import ResidualCodec
from patchline.vision.codecs.features.sampling import ChannelSamplingCodec, PatchSamplingCodec
from patchline.vision.codecs.features.tiles import TilesCodec
from patchline.vision.codecs.image.avif import AvifCodec
from patchline.vision.codecs.image.jpeg import JpegCodec
from patchline.vision.codecs.image.png import PngCodec
from patchline.vision.codecs.image.protocol import ImageCodec
from patchline.vision.codecs.image.raw import RawCodec
from patchline.vision.codecs.image.webp import WebpCodec

CODECS: dict[str, type[ImageCodec]] = {
    "raw": RawCodec,
    "png": PngCodec,
    "webp": WebpCodec,
    "jpeg": JpegCodec,
    "avif": AvifCodec,
}
"""Codec family -> the class that makes its codecs."""

FEATURE_CODECS: dict[str, type[FeatureCodec]] = {
    "features": FeaturesCodec,
    "float16": HalfCodec,
    "int8": Int8Codec,
    "deflate": DeflateCodec,
    "channel-sampling": ChannelSamplingCodec,
    "patch-sampling": PatchSamplingCodec,
    "pq-global": GlobalPqCodec,
    "pq": PatchPqCodec,
    "opq": PatchOpqCodec,
    "residual": ResidualCodec,
    "tiles": TilesCodec,
}
"""Feature codec family -> the class that fits and restores its codecs."""
