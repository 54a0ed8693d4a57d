"""Sends what a backbone sees instead of the picture: resize, normalise, run, encode the feature maps."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge_node.encoding.backbones import EdgeBackbones
from edge_node.encoding.image_encoder import Encoded, Encoder
from patchline.vision.backbones.engine import Engine
from patchline.vision.codecs.features.asset import CodecAsset, open_asset
from patchline.vision.codecs.features.protocol import FeatureCodec, Shapes
from patchline.vision.pixels.arrays import FeatureMaps, Pixels, Size
from patchline.vision.pixels.picture_health import look_at
from patchline.vision.pixels.preprocessing import normalise, resize
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.messages import Profile, ProfileCodec

CODEC = "codec"
"""The name under which a codec refers to its codec's file."""

_REMEDY = "commission the station again, or publish the profile it was commissioned with"


@dataclass(frozen=True, slots=True)
class FeatureEncoder:
    """A backbone and a fitted codec at work.

    Attributes:
        engine: Runs the backbone; its session lives as long as the node.
        codec: The codec as it was fitted at commissioning.
    """

    profile: Profile
    profile_codec: ProfileCodec
    engine: Engine
    codec: FeatureCodec

    def encode(self, pixels: Pixels) -> Encoded:
        """See `Encoder.encode`; the steps are `resize`, `backbone` and `encode`."""
        started = time.perf_counter()
        resized = resize(pixels, self.profile.input_size)
        at_backbone = time.perf_counter()
        maps = self.engine.run(normalise(resized[None]))
        at_encode = time.perf_counter()
        payload = self.codec.encode(maps)
        stages = {
            "resize": at_backbone - started,
            "backbone": at_encode - at_backbone,
            "encode": time.perf_counter() - at_encode,
        }
        return Encoded(payload, stages, look_at(resized))


class FeatureEncoders:
    """Makes encoders from a profile's codecs, once everything about them has been held against everything else.

    Args:
        backbones: Gives the engines.
        fetched: Gives an asset by its sha256; raises `UnavailableError` where there is none.
    """

    def __init__(self, backbones: EdgeBackbones, fetched: Callable[[str], bytes]) -> None:
        self._backbones, self._fetched = backbones, fetched

    def make(self, profile: Profile, profile_codec: ProfileCodec) -> Encoder:
        """See `MakesEncoders.make`. The backbone and the codec are tried once, so that no part pays for their start."""
        asset = self._asset(profile_codec)
        _check(profile, profile_codec, asset)
        engine = self._backbones.engine_of(profile_codec, tuple(asset.taps))
        maps = engine.run(normalise(np.zeros((1, *profile.input_size, 3), np.uint8)))
        _check_shapes(profile_codec, asset.codec.shapes, maps)
        asset.codec.encode(maps)
        return FeatureEncoder(profile, profile_codec, engine, asset.codec)

    def _asset(self, profile_codec: ProfileCodec) -> CodecAsset:
        reference = next((asset for asset in profile_codec.assets if asset.name == CODEC), None)
        if reference is None:
            raise MisconfiguredError(
                f"the profile's codec {profile_codec.codec} comes without the asset it was fitted to", remedy=_REMEDY
            )
        try:
            content = self._fetched(reference.sha256)
        except UnavailableError as error:
            raise MisconfiguredError(f"the profile's codec {profile_codec.codec}: {error}", remedy=_REMEDY) from error
        return open_asset(content)


def _check(profile: Profile, profile_codec: ProfileCodec, asset: CodecAsset) -> None:
    """Make sure that profile and asset speak of the same codec, backbone and pictures."""
    told = {
        "codec": (profile_codec.codec, asset.name),
        "backbone": (
            f"{profile_codec.backbone} {profile_codec.backbone_sha256}",
            f"{asset.backbone} {asset.backbone_sha256}",
        ),
        "input size": (_size(profile.input_size), _size(asset.input_size)),
    }
    for what, (of_profile, of_asset) in told.items():
        if of_profile != of_asset:
            raise MisconfiguredError(
                f"the {what} of the profile is {of_profile}, that of its asset {of_asset}",
                where="asset",
                remedy=_REMEDY,
            )


def _check_shapes(profile_codec: ProfileCodec, shapes: Shapes, maps: FeatureMaps) -> None:
    found = {tap: values.shape[1:] for tap, values in maps.items()}
    if list(found.items()) != list(shapes.items()):
        raise MisconfiguredError(
            f"backbone {profile_codec.backbone} gives feature maps of {found}, "
            f"the codec {profile_codec.codec} was fitted to {shapes}",
            where="taps",
            remedy=_REMEDY,
        )


def _size(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
