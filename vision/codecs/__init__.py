"""Codecs: how a picture becomes bytes on a thin link, and comes back.

A codec is named `family` or `family:parameter`, such as `png` or `webp:80`; the full name travels in every frame and
belongs to the artifact it was calibrated with. One file holds both halves of a codec; one line below registers it.
Image codecs carry pixels; feature codecs carry the feature maps that a backbone at the edge made of them.
"""

from vision.codecs.avif import AvifCodec
from vision.codecs.deflate import DeflateCodec
from vision.codecs.feature_protocol import FeatureCodec
from vision.codecs.float_features import FeaturesCodec, HalfCodec
from vision.codecs.global_pq import GlobalPqCodec
from vision.codecs.int8 import Int8Codec
from vision.codecs.jpeg import JpegCodec
from vision.codecs.patch_pq import PatchOpqCodec, PatchPqCodec
from vision.codecs.png import PngCodec
from vision.codecs.protocol import ImageCodec
from vision.codecs.raw import RawCodec
from vision.codecs.residual.codec import ResidualCodec
from vision.codecs.sampling import ChannelSamplingCodec, PatchSamplingCodec
from vision.codecs.tiles import TilesCodec
from vision.codecs.webp import WebpCodec

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
