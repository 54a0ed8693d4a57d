"""A station that sends feature maps: what it sends, and which profiles it refuses to encode with."""

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edge_node.control.active_encoder import ActiveEncoder
from edge_node.encoding.backbones import EdgeBackbones, is_at_hand
from edge_node.encoding.feature_encoder import FeatureEncoder, FeatureEncoders
from edge_node.encoding.image_encoder import encoder_of
from patchline.vision.backbones import BACKBONES
from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.vision.backbones.store import StoredBackbone, find
from patchline.vision.codecs.features.asset import pack_asset
from patchline.vision.codecs.features.protocol import FeatureCodec
from patchline.vision.codecs.lookup import feature_codec_class
from patchline.vision.pixels.arrays import FeatureMaps
from patchline.vision.pixels.preprocessing import normalise, resize
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.messages import AssetReference, Profile, ProfileCodec, sealed, sha256_of

SPEC = BACKBONES["patchline_s"]
SIZE = (64, 64)
PICTURE = np.random.default_rng(3).integers(0, 256, (80, 96, 3), np.uint8)


@pytest.fixture(scope="module")
def backbone() -> StoredBackbone:
    return find(SPEC)


@pytest.fixture(scope="module")
def maps(backbone: StoredBackbone) -> FeatureMaps:
    """The feature maps of the picture, as a service would make them."""
    engine = OnnxEngine(backbone.read(), SPEC.default_taps)
    return engine.run(normalise(resize(PICTURE, SIZE)[None]))


@pytest.fixture(scope="module")
def codec(maps: FeatureMaps) -> FeatureCodec:
    kind, parameter = feature_codec_class("features")
    return kind.fit(parameter, maps, seed=0)


@dataclass
class Cache:
    """Assets as a station has them."""

    assets: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def keep(self, name: str, content: bytes) -> AssetReference:
        reference = AssetReference(name=name, sha256=sha256_of(content), size=len(content))
        self.assets[reference.sha256] = content
        return reference

    def fetched(self, sha256: str) -> bytes:
        self.asked.append(sha256)
        if sha256 not in self.assets:
            raise UnavailableError(f"asset {sha256} cannot be read: it is not here")
        return self.assets[sha256]

    def encoders(self) -> FeatureEncoders:
        return FeatureEncoders(EdgeBackbones(threads=1, fetched=self.fetched), self.fetched)


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture
def profile_for(cache: Cache, codec: FeatureCodec, backbone: StoredBackbone) -> Callable[..., Profile]:
    """A profile of the codec `features`; keywords change its codec, `asset` what it was fitted to."""

    def build(*, asset: dict[str, Any] | None = None, size: tuple[int, int] = SIZE, **profile_codec: Any) -> Profile:
        fitted = {"backbone_name": SPEC.name, "backbone_sha256": backbone.sha256, "input_size": SIZE} | (asset or {})
        first = ProfileCodec(
            codec="features",
            artifact="a" * 64,
            backbone=SPEC.name,
            backbone_sha256=backbone.sha256,
            assets=(cache.keep("codec", pack_asset(codec, **fitted)),),
        )
        ladder = (msgspec.structs.replace(first, **profile_codec), ProfileCodec(codec="png", artifact="b" * 64))
        return sealed(Profile(station="plant/line1/cam1", input_size=size, ladder=ladder))

    return build


def test_the_engines_of_earlier_backbones_are_freed(backbone: StoredBackbone) -> None:
    backbones = EdgeBackbones(threads=1, fetched=lambda _: b"", most_engines=2)
    profile_codec = ProfileCodec(
        codec="features", artifact="a" * 64, backbone=SPEC.name, backbone_sha256=backbone.sha256
    )
    taps = list(SPEC.taps)
    first = weakref.ref(backbones.engine_of(profile_codec, (taps[0],)))
    second = backbones.engine_of(profile_codec, (taps[1],))
    backbones.engine_of(profile_codec, (taps[0], taps[1]))
    gc.collect()
    assert first() is None
    assert backbones.engine_of(profile_codec, (taps[1],)) is second


def test_what_is_sent_are_the_feature_maps_of_the_resized_picture(
    cache: Cache, profile_for: Callable[..., Profile], codec: FeatureCodec, maps: FeatureMaps
) -> None:
    payload, stages, _ = encoder_of(profile_for(), features=cache.encoders()).encode(PICTURE)
    decoded = codec.decode(payload)
    assert list(stages) == ["resize", "backbone", "encode"]
    assert list(decoded) == list(maps)
    for tap, values in maps.items():
        np.testing.assert_array_equal(decoded[tap], values)


def test_the_backbone_is_loaded_once_for_all_pictures_codecs_and_profiles(
    cache: Cache, profile_for: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[tuple[str, ...]] = []
    real = OnnxEngine.__init__

    def counted(self: OnnxEngine, model: bytes, taps: tuple[str, ...], **options: Any) -> None:
        loaded.append(taps)
        real(self, model, taps, **options)

    monkeypatch.setattr(OnnxEngine, "__init__", counted)
    mode = ActiveEncoder(cache.encoders())
    mode.use(profile_for())
    for codec in ("png", "features"):
        mode.choose(codec)
        assert mode.encoder is not None
        assert mode.encoder.encode(PICTURE)[0]
    mode.use(profile_for(artifact="c" * 64))
    assert isinstance(mode.encoder, FeatureEncoder)
    assert loaded == [SPEC.default_taps]


def test_a_backbone_the_service_sent_takes_the_place_of_one_of_our_own(
    cache: Cache,
    profile_for: Callable[..., Profile],
    backbone: StoredBackbone,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    profile = profile_for()
    own = encoder_of(profile, features=cache.encoders()).encode(PICTURE).payload
    reference = cache.keep("backbone", backbone.read())
    assert is_at_hand(reference)
    monkeypatch.setattr("patchline.vision.backbones.store.PACKAGED", tmp_path)
    assert not is_at_hand(reference)
    sent = encoder_of(profile, features=cache.encoders()).encode(PICTURE).payload
    assert sent == own
    assert backbone.sha256 in cache.asked


def test_only_backbones_are_looked_for_outside_the_cache(backbone: StoredBackbone) -> None:
    assert not is_at_hand(AssetReference(name="codec", sha256=backbone.sha256, size=1))


OTHER = "f" * 64
REFUSALS = {
    "a backbone that is not here": (
        {"backbone_sha256": OTHER, "asset": {"backbone_sha256": OTHER}},
        r"needs backbone patchline_s \(ffffffffffff\), but the patchline_s here is [0-9a-f]{12}.*PATCHLINE_WEIGHTS",
    ),
    "a backbone nobody knows": (
        {"backbone": "alexnet", "asset": {"backbone_name": "alexnet"}, "backbone_sha256": OTHER},
        r"alexnet ffff.*of its asset alexnet",
    ),
    "an asset fitted to another backbone": ({"asset": {"backbone_sha256": OTHER}}, rf"backbone .*{OTHER}"),
    "an asset of another codec": ({"codec": "float16"}, "codec of the profile is float16, that of its asset features"),
    "an asset for another picture size": ({"size": (64, 96)}, "input size of the profile is 64x96, .* asset 64x64"),
    "a codec without its asset": ({"assets": ()}, "features comes without the asset it was fitted to"),
    "an asset that did not come": (
        {"assets": (AssetReference(name="codec", sha256=OTHER, size=9),)},
        f"asset {OTHER} cannot be read",
    ),
}


@pytest.mark.parametrize(("changes", "named"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_profile_that_does_not_fit_is_refused(
    changes: dict[str, Any], named: str, cache: Cache, profile_for: Callable[..., Profile]
) -> None:
    mode = ActiveEncoder(cache.encoders())
    mode.use(profile_for())
    before = mode.encoder
    with pytest.raises(MisconfiguredError, match=named):
        mode.use(profile_for(**changes))
    assert mode.encoder is before, "the profile before stays in use"


def test_a_codec_fitted_to_other_taps_or_shapes_is_refused(
    cache: Cache, profile_for: Callable[..., Profile], backbone: StoredBackbone, maps: FeatureMaps
) -> None:
    kind, parameter = feature_codec_class("features")
    for strange, named in (
        ({"stride64": maps["stride16"]}, "stride64"),
        ({"stride8": maps["stride16"]}, "gives feature maps of"),
    ):
        fitted = kind.fit(parameter, strange, seed=0)
        asset = cache.keep("codec", pack_asset(fitted, SPEC.name, backbone.sha256, SIZE))
        with pytest.raises(MisconfiguredError, match=named):
            encoder_of(profile_for(assets=(asset,)), features=cache.encoders())


def test_a_station_that_sends_pictures_loads_no_network() -> None:
    program = """
import sys
import numpy as np
import edge_node.app
from edge_node.encoding.backbones import EdgeBackbones
from edge_node.encoding.feature_encoder import FeatureEncoders
from edge_node.control.active_encoder import ActiveEncoder
from patchline.wire.messages import Profile, ProfileCodec
mode = ActiveEncoder(FeatureEncoders(EdgeBackbones(threads=1, fetched=None), None))
mode.use(Profile(station="a/b/c", input_size=(32, 32), ladder=(ProfileCodec(codec="webp:80", artifact="a" * 64),)))
mode.encoder.encode(np.zeros((40, 40, 3), np.uint8))
assert "onnxruntime" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
