"""Feature maps in fewer bits: how far values may be off, and what happens beyond the normal range."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from patchline.vision.codecs.features.deflate import DeflateCodec
from patchline.vision.codecs.features.floats import HalfCodec
from patchline.vision.codecs.features.int8 import MARGIN, Int8Codec
from patchline.vision.codecs.features.protocol import FeatureCodec
from patchline.vision.codecs.features.sealed_codec import LARGEST, SEAL_BYTES, identity_of, seal
from patchline.vision.codecs.features.tiles import TilesCodec
from patchline.vision.pixels.arrays import FeatureMaps, Floats
from patchline.wire.errors import MisconfiguredError, UnreadableError

SHAPE = (6, 12, 10)


def smooth(pictures: int, seed: int) -> FeatureMaps:
    """Six channels of very different scale that vary slowly over the picture."""
    rng = np.random.default_rng(seed)
    waves = np.sin(np.add.outer(np.linspace(0, 3, 12), np.linspace(0, 2, 10)) + rng.uniform(0, 6, (pictures, 6, 1, 1)))
    return {"tap": (waves * np.geomspace(0.01, 10, 6)[:, np.newaxis, np.newaxis] + 1).astype(np.float32)}


def through(codec: FeatureCodec, array: Floats) -> Floats:
    return codec.decode(codec.encode({"tap": array}))["tap"]


def test_half_precision_is_off_by_half_a_thousandth_at_most_and_never_infinite() -> None:
    codec = HalfCodec.fit(None, {"tap": smooth(2, 0)["tap"] * np.float32(1e4)}, seed=0)
    array = smooth(1, 1)["tap"]
    np.testing.assert_allclose(through(codec, array), array, rtol=5e-4)
    assert through(codec, array * np.float32(1e9)).max() == 65504


def test_eight_bits_are_off_by_half_a_step_of_each_channels_own_scale() -> None:
    training = smooth(20, 0)
    codec = Int8Codec.fit(None, training, seed=0)
    width = np.ptp(training["tap"], axis=(0, 2, 3)).reshape(1, -1, 1, 1) * (1 + 2 * MARGIN)
    array = training["tap"][:1]
    assert (np.abs(through(codec, array) - array) <= 0.51 * width / 255 + 1e-6).all()


def test_eight_bits_reach_beyond_the_normal_range_by_a_margin_and_clip_there() -> None:
    training = smooth(20, 0)["tap"]
    codec = Int8Codec.fit(None, {"tap": training}, seed=0)
    highest, width = training.max(axis=(0, 2, 3)), np.ptp(training, axis=(0, 2, 3))
    for share, clipped in ((MARGIN * 0.9, False), (MARGIN * 2, True)):
        beyond = (highest + share * width).reshape(1, -1, 1, 1) * np.ones((1, *SHAPE), np.float32)
        off = np.abs(through(codec, beyond.astype(np.float32)) - beyond).max(axis=(0, 2, 3))
        assert ((off > 0.1 * width) == clipped).all()


@pytest.mark.parametrize("bits", [3, 5, 7])
def test_deflated_values_are_off_by_half_a_step_along_each_direction(bits: int) -> None:
    codec = DeflateCodec.fit(str(bits), smooth(20, 0), seed=0)
    array = smooth(1, 1)["tap"]
    step = codec.tensors()["step of tap"][0]
    off = through(codec, array) - array
    along = np.einsum("cd,bchw->bdhw", codec.tensors()["directions of tap"], off)
    assert np.abs(along).max() <= 0.51 * step
    assert np.abs(along).max() > 0.2 * step


def test_fewer_bits_deflate_to_fewer_bytes() -> None:
    sizes = [len(DeflateCodec.fit(str(bits), smooth(20, 0), seed=0).encode(smooth(1, 1))) for bits in range(2, 8)]
    assert sizes == sorted(set(sizes))


def test_a_deflated_bomb_is_not_inflated() -> None:
    codec = DeflateCodec.fit("5", smooth(20, 0), seed=0)
    identity = identity_of(codec.name, codec.shapes, codec.tensors())
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = bomb.compress(b"\0" * 1_000_000) + bomb.flush()
    assert len(body) < codec.longest_body
    with pytest.raises(UnreadableError, match="exactly 720 values"):
        codec.decode(seal(identity, body))


def test_tiles_carry_the_range_of_each_picture() -> None:
    codec = TilesCodec.fit("90", smooth(2, 0), seed=0)
    array = smooth(1, 1)["tap"]
    once, tenfold = through(codec, array), through(codec, array * 10 - 3)
    assert np.abs(once - array).mean() < 0.05 * np.ptp(array)
    np.testing.assert_allclose(tenfold, once * 10 - 3, rtol=1e-4, atol=1e-3)


def test_tiles_are_pictures_that_anyone_can_open() -> None:
    payload = TilesCodec.fit("90", smooth(2, 0), seed=0).encode(smooth(1, 1))
    with Image.open(io.BytesIO(payload[SEAL_BYTES + 8 :])) as picture:
        assert picture.format == "WEBP"
        assert picture.size == (3 * 10, 2 * 12)


def test_all_taps_are_tiles_of_one_picture_that_fills_its_blocks() -> None:
    rng = np.random.default_rng(3)
    maps = {
        tap: rng.standard_normal((2, channels, side // 7, side // 7), np.float32).repeat(7, axis=2).repeat(7, axis=3)
        for tap, channels, side in (("fine", 32, 28), ("coarse", 96, 14), ("odd", 5, 7))
    }
    codec = TilesCodec.fit("95", maps, seed=0)
    one = {tap: array[:1] for tap, array in maps.items()}
    payload = codec.encode(one)
    with Image.open(io.BytesIO(payload[SEAL_BYTES + 3 * 8 :])) as picture:
        width, height = picture.size
    assert -(-width // 16) * -(-height // 16) < 1.05 * sum(array[0].size for array in maps.values()) / 256
    for tap, array in codec.decode(payload).items():
        assert np.sqrt(np.square(array - one[tap]).mean()) < 0.1 * one[tap].std()


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1.0, 3e38])
def test_tiles_scale_any_range_that_float32_has(scale: float) -> None:
    values = np.linspace(-1, 1, 6 * 12 * 10, dtype=np.float32).reshape(1, *SHAPE)[:, ::-1]
    array = (values.astype(np.float64) * scale).astype(np.float32)
    back = through(TilesCodec.fit("100", {"tap": array}, seed=0), array)
    assert np.abs(back.astype(np.float64) / scale - values).max() < 0.1


@pytest.mark.parametrize("tensors", [{}, {"layout": np.array([[36, 20], [0, 2]], np.uint16)}])
def test_tiles_of_the_layout_before_are_refused(tensors: dict[str, np.ndarray]) -> None:
    with pytest.raises(MisconfiguredError, match="layout") as refused:
        TilesCodec.restore("90", {"tap": SHAPE}, {**tensors, LARGEST: np.ones(1, np.float32)})
    assert "commission" in str(refused.value.remedy)


def test_tiles_too_large_for_webp_are_refused_when_fitted() -> None:
    with pytest.raises(MisconfiguredError, match="over 16383 pixels"):
        TilesCodec.fit("90", {"tap": np.zeros((1, 1, 16384, 2), np.float32)}, seed=0)
