"""What every registered feature codec must keep to; a new one is tested by being registered and given its names."""

import contextlib
import tracemalloc
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchline.vision.codecs import CODECS, FEATURE_CODECS
from patchline.vision.codecs.features.asset import open_asset, pack_asset
from patchline.vision.codecs.features.protocol import FeatureCodec, Shapes
from patchline.vision.codecs.features.sealed_codec import LARGEST, MARGIN, SEAL_BYTES, TOLERANCE, identity_of, seal
from patchline.vision.codecs.lookup import codec_of, feature_codec_class, is_feature_codec
from patchline.vision.pixels.arrays import FeatureMaps
from patchline.wire.errors import MisconfiguredError, UnreadableError

SHAPES: Shapes = {"fine": (6, 40, 16), "middle": (12, 20, 8), "coarse": (10, 5, 2)}
"""Three taps on grids that are not square."""
NAMES = {family: kind.examples for family, kind in FEATURE_CODECS.items()}
BAD_PARAMETERS = {family: kind.refused for family, kind in FEATURE_CODECS.items()}
LOSSLESS = {"features"}
EVERY_NAME = [name for names in NAMES.values() for name in names]

every_name = pytest.mark.parametrize("name", EVERY_NAME)


def feature_maps(pictures: int, seed: int, shapes: Shapes = SHAPES) -> FeatureMaps:
    """Maps of normal pictures: smooth, what they have in common, and noise."""
    rng = np.random.default_rng(seed)
    maps = {}
    for tap, (channels, height, width) in shapes.items():
        slope = np.add.outer(np.linspace(0, 2, height), np.linspace(0, 1, width))
        common = np.sin(slope + np.arange(channels)[:, None, None]) * (1 + np.arange(channels)[:, None, None] % 3)
        maps[tap] = (common + 0.2 * rng.standard_normal((pictures, channels, height, width))).astype(np.float32)
    return maps


def fitted(name: str, *, pictures: int = 8, seed: int = 0, data_seed: int = 1, shapes: Shapes = SHAPES) -> FeatureCodec:
    kind, parameter = feature_codec_class(name)
    return kind.fit(parameter, feature_maps(pictures, data_seed, shapes), seed=seed)


@cache
def codec(name: str) -> FeatureCodec:
    return fitted(name)


def identity_in(codec: FeatureCodec) -> bytes:
    return identity_of(codec.name, codec.shapes, codec.tensors())


def same(one: FeatureMaps, other: FeatureMaps) -> bool:
    return list(one) == list(other) and all(np.array_equal(one[tap], other[tap]) for tap in one)


def form(maps: FeatureMaps) -> dict[str, Any]:
    return {tap: (array.shape, array.dtype) for tap, array in maps.items()}


RIGHT_FORM = {tap: ((1, *shape), np.dtype(np.float32)) for tap, shape in SHAPES.items()}


def test_every_registered_family_is_in_this_contract() -> None:
    assert all(NAMES.values())
    assert all(BAD_PARAMETERS.values())
    assert not set(FEATURE_CODECS) & set(CODECS)
    assert all(kind.family == family for family, kind in FEATURE_CODECS.items())
    assert all(kind.usage.startswith(family) for family, kind in FEATURE_CODECS.items())


@every_name
def test_a_fitted_codec_says_its_own_name_and_form(name: str) -> None:
    assert codec(name).name == name
    assert codec(name).shapes == SHAPES
    assert list(codec(name).shapes) == list(SHAPES)
    assert is_feature_codec(name)


@every_name
def test_feature_maps_come_back_in_their_form_and_exactly_if_lossless(name: str) -> None:
    for seed in (2, 3):
        maps = feature_maps(1, seed)
        decoded = codec(name).decode(codec(name).encode(maps))
        assert form(decoded) == RIGHT_FORM
        assert list(decoded) == list(SHAPES)
        assert all(np.isfinite(array).all() for array in decoded.values())
        if name in LOSSLESS:
            assert same(decoded, maps)


@every_name
def test_what_comes_back_is_nearer_to_the_picture_than_to_its_mirror_image(name: str) -> None:
    maps = feature_maps(1, seed=2)
    decoded = codec(name).decode(codec(name).encode(maps))
    for tap, array in maps.items():
        sent = np.abs(decoded[tap][0]).max(axis=(1, 2)) > 0
        original, found = array[0, sent], decoded[tap][0, sent]
        assert np.square(found - original).mean() < np.square(found + original).mean()


@every_name
def test_the_same_maps_become_the_same_bytes_whatever_came_before(name: str) -> None:
    alone = codec(name).encode(feature_maps(1, seed=2))
    assert codec(name).encode(feature_maps(1, seed=3)) != alone
    assert codec(name).encode(feature_maps(1, seed=2)) == alone
    assert same(codec(name).decode(alone), codec(name).decode(alone))


@every_name
def test_the_same_pictures_and_seed_give_the_same_tensors(name: str) -> None:
    again = fitted(name)
    assert pack_asset(again, "b", "0" * 64, (80, 32)) == pack_asset(codec(name), "b", "0" * 64, (80, 32))


@every_name
def test_a_codec_comes_back_from_its_asset_and_reads_the_others_payloads(name: str) -> None:
    asset = open_asset(pack_asset(codec(name), "some_net", "ab" * 32, (80, 32)))
    assert (asset.name, asset.backbone, asset.backbone_sha256) == (name, "some_net", "ab" * 32)
    assert (asset.taps, asset.input_size) == (tuple(SHAPES), (80, 32))
    maps = feature_maps(1, seed=2)
    payload = codec(name).encode(maps)
    assert asset.codec.encode(maps) == payload
    assert same(asset.codec.decode(payload), codec(name).decode(payload))


@every_name
def test_what_goes_in_is_left_alone_and_what_comes_out_belongs_to_the_caller(name: str) -> None:
    training = feature_maps(8, seed=1)
    for array in training.values():
        array.flags.writeable = False
    kind, parameter = feature_codec_class(name)
    mine = kind.fit(parameter, training, seed=0)
    maps = feature_maps(1, seed=2)
    for array in maps.values():
        array.flags.writeable = False
    payload = mine.encode(maps)
    first = mine.decode(payload)
    expected = {tap: array.copy() for tap, array in first.items()}
    for array in first.values():
        array[:] = 7
    assert same(mine.decode(payload), expected)


@every_name
def test_maps_need_be_neither_contiguous_nor_in_order(name: str) -> None:
    maps = feature_maps(1, seed=2)
    strided = {tap: np.asfortranarray(array) for tap, array in reversed(maps.items())}
    assert codec(name).encode(strided) == codec(name).encode(maps)


@every_name
def test_two_pictures_are_enough_to_fit(name: str) -> None:
    few = fitted(name, pictures=2)
    assert form(few.decode(few.encode(feature_maps(1, seed=2)))) == RIGHT_FORM


@every_name
def test_one_tap_is_enough_and_a_constant_one_does_no_harm(name: str) -> None:
    kind, parameter = feature_codec_class(name)
    maps = {"only": np.full((3, 16, 8, 6), 1.5, dtype=np.float32)}
    flat = kind.fit(parameter, maps, seed=0)
    decoded = flat.decode(flat.encode({"only": maps["only"][:1]}))["only"]
    assert decoded.shape == (1, 16, 8, 6)
    kept = decoded[decoded != 0]
    np.testing.assert_allclose(kept, 1.5, atol=0.02)


def largest(maps: FeatureMaps) -> float:
    return max(float(np.abs(array).max()) for array in maps.values())


def bound() -> float:
    """What no decoded value of these codecs may exceed."""
    return MARGIN * TOLERANCE * largest(feature_maps(8, seed=1))


@every_name
@pytest.mark.parametrize("factor", [3.0, 1e3, 1e30])
def test_extreme_values_of_a_picture_come_back_within_the_bound(name: str, factor: float) -> None:
    extreme = {tap: array * np.float32(factor) for tap, array in feature_maps(1, seed=2).items()}
    assert largest(codec(name).decode(codec(name).encode(extreme))) <= bound()


@every_name
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_well_formed_payload_gives_values_beyond_the_bound_or_takes_much_memory(
    name: str, data: st.DataObject
) -> None:
    body = bytearray(codec(name).encode(feature_maps(1, seed=2))[SEAL_BYTES:])
    extreme = st.sampled_from([1e25, -1e25, 3e38, 1e4, -65504.0, 1e-40, np.inf, np.nan])
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["<f4", "<f2", "<f8", "<i4", "u1"]))
        number = np.array(data.draw(extreme), np.float64)
        with np.errstate(all="ignore"):
            raw = number.astype(kind).tobytes()
        place = data.draw(
            st.integers(0, min(len(body) - len(raw), 64) if data.draw(st.booleans()) else len(body) - len(raw))
        )
        body[place : place + len(raw)] = raw
    tracemalloc.start()
    try:
        with contextlib.suppress(UnreadableError):
            assert largest(codec(name).decode(seal(identity_in(codec(name)), bytes(body)))) <= bound()
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


def test_values_like_those_of_a_real_picture_are_sent_as_they_are() -> None:
    maps = {tap: array * np.float32(MARGIN / 2) for tap, array in feature_maps(1, seed=2).items()}
    assert same(codec("features").decode(codec("features").encode(maps)), maps)


@pytest.mark.parametrize("name", ["features", "float16", "channel-sampling:0.25", "patch-sampling:0.5+float16"])
def test_a_finite_value_far_beyond_those_of_normal_pictures_is_unreadable(name: str) -> None:
    body = bytearray(codec(name).encode(feature_maps(1, seed=2))[SEAL_BYTES:])
    half = name.endswith("float16")
    for value in (2 * bound(), -2 * bound(), 6e4 if half else 1e25):
        body[:4] = np.array([value, value], "<f2").tobytes() if half else np.array([value], "<f4").tobytes()
        with pytest.raises(UnreadableError, match="far beyond"):
            codec(name).decode(seal(identity_in(codec(name)), bytes(body)))


@every_name
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_cut_or_lengthened_payload_is_unreadable(name: str, data: st.DataObject) -> None:
    payload = codec(name).encode(feature_maps(1, seed=2))
    for wrong in (payload[: data.draw(st.integers(0, len(payload) - 1))], payload + data.draw(st.binary(min_size=1))):
        with pytest.raises(UnreadableError):
            codec(name).decode(wrong)


@every_name
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_flipped_payload_is_unreadable(name: str, data: st.DataObject) -> None:
    damaged = bytearray(codec(name).encode(feature_maps(1, seed=2)))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(UnreadableError):
        codec(name).decode(bytes(damaged))


@every_name
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_damaged_body_under_a_valid_seal_is_unreadable_or_maps_of_the_right_form(
    name: str, data: st.DataObject
) -> None:
    body = bytearray(codec(name).encode(feature_maps(1, seed=2))[SEAL_BYTES:])
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), max_size=8)):
        body[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    for forged in (bytes(body), bytes(body[:cut]), bytes(body) + b"\0", data.draw(st.binary(max_size=200))):
        with contextlib.suppress(UnreadableError):
            decoded = codec(name).decode(seal(identity_in(codec(name)), forged))
            assert form(decoded) == RIGHT_FORM
            assert all(np.isfinite(array).all() for array in decoded.values())


@every_name
@settings(max_examples=25, deadline=None)
@given(payload=st.binary(max_size=400))
def test_bytes_of_nobody_are_unreadable(name: str, payload: bytes) -> None:
    with pytest.raises(UnreadableError):
        codec(name).decode(payload)


@every_name
def test_payloads_of_other_codecs_are_unreadable(name: str) -> None:
    for other in EVERY_NAME:
        if other != name:
            with pytest.raises(UnreadableError) as caught:
                codec(name).decode(codec(other).encode(feature_maps(1, seed=2)))
            assert caught.value.code in {"codec", "size"}
    for image in (codec_of("webp:80"), codec_of("raw")):
        with pytest.raises(UnreadableError):
            codec(name).decode(image.encode(np.zeros((32, 32, 3), np.uint8)))


@every_name
def test_payloads_of_the_same_codec_fitted_otherwise_are_unreadable(name: str) -> None:
    maps = feature_maps(1, seed=2)
    for other in (fitted(name, data_seed=9), fitted(name, seed=9)):
        if identity_in(other) != identity_in(codec(name)):
            with pytest.raises(UnreadableError):
                codec(name).decode(other.encode(maps))
    narrower = {**SHAPES, "fine": (6, 20, 32)}
    with pytest.raises(UnreadableError):
        codec(name).decode(fitted(name, shapes=narrower).encode(feature_maps(1, 2, narrower)))


@every_name
@pytest.mark.parametrize("fault", ["missing", "more", "batch", "channels", "grid", "float64", "nan", "infinite"])
def test_maps_of_another_form_are_refused_with_what_to_give(name: str, fault: str) -> None:
    maps: dict[str, Any] = feature_maps(1, seed=2)
    match fault:
        case "missing":
            del maps["middle"]
        case "more":
            maps["more"] = maps["coarse"]
        case "batch":
            maps = feature_maps(2, seed=2)
        case "channels":
            maps["fine"] = maps["fine"][:, 1:]
        case "grid":
            maps["fine"] = maps["fine"].transpose(0, 1, 3, 2)
        case "float64":
            maps["fine"] = maps["fine"].astype(np.float64)
        case "nan":
            maps["fine"][0, 0, 0, 0] = np.nan
        case _:
            maps["fine"][0, 0, 0, 0] = np.inf
    with pytest.raises(MisconfiguredError) as caught:
        codec(name).encode(maps)
    assert name in caught.value.where
    assert caught.value.remedy


@every_name
def test_nothing_can_be_learnt_from_what_are_not_maps(name: str) -> None:
    kind, parameter = feature_codec_class(name)
    good = feature_maps(2, seed=1)["fine"]
    arrays: list[Any] = [good[:0], good[0], good.astype(np.float64), good * np.nan]
    for array in arrays:
        with pytest.raises(MisconfiguredError):
            kind.fit(parameter, {"fine": array}, seed=0)
    with pytest.raises(MisconfiguredError):
        kind.fit(parameter, {}, seed=0)
    with pytest.raises(MisconfiguredError):
        kind.fit(parameter, {"one": good, "other": good[:1]}, seed=0)


@every_name
def test_tensors_that_do_not_fit_are_refused_by_name(name: str) -> None:
    kind, parameter = feature_codec_class(name)
    tensors = codec(name).tensors()
    with pytest.raises(MisconfiguredError, match="more"):
        kind.restore(parameter, SHAPES, {**tensors, "more": np.zeros(1, np.float32)})
    for key, tensor in tensors.items():
        for wrong in (None, tensor[:-1], tensor[..., np.newaxis], tensor.astype(np.float64), tensor.astype(np.int8)):
            changed = {other: value for other, value in tensors.items() if other != key}
            with pytest.raises(MisconfiguredError) as caught:
                kind.restore(parameter, SHAPES, changed if wrong is None else {**changed, key: wrong})
            assert key.removeprefix("kept values: ") in caught.value.what
            assert caught.value.remedy
        if tensor.dtype.kind == "f":
            with pytest.raises(MisconfiguredError):
                kind.restore(parameter, SHAPES, {**tensors, key: np.full_like(tensor, np.nan)})
    for largest in (0.0, -1.0):
        with pytest.raises(MisconfiguredError, match=LARGEST):
            kind.restore(parameter, SHAPES, {**tensors, LARGEST: np.array([largest], np.float32)})
    if tensors.keys() - {LARGEST}:
        with pytest.raises(MisconfiguredError):
            kind.restore(parameter, {"fine": SHAPES["fine"]}, tensors)


@pytest.mark.parametrize("family", FEATURE_CODECS)
def test_a_parameter_that_is_not_of_the_family_is_answered_with_how_to_write_it(family: str) -> None:
    for parameter in BAD_PARAMETERS[family]:
        name = family if parameter is None else f"{family}:{parameter}"
        with pytest.raises(MisconfiguredError) as caught:
            feature_codec_class(name)
        assert caught.value.remedy.startswith("write ")
        with pytest.raises(MisconfiguredError):
            FEATURE_CODECS[family].fit(parameter, feature_maps(2, seed=1), seed=0)
        with pytest.raises(MisconfiguredError):
            FEATURE_CODECS[family].restore(parameter, SHAPES, {})


@pytest.mark.parametrize("family", FEATURE_CODECS)
def test_every_parameter_has_an_effect_on_the_bytes(family: str) -> None:
    payloads = [codec(name).encode(feature_maps(1, seed=2))[SEAL_BYTES:] for name in NAMES[family]]
    assert len(set(payloads)) == len(payloads)


@pytest.mark.parametrize("name", ["", "Features", "opq 8", ":8", "jpg:80", "feature"])
def test_an_unknown_name_is_answered_with_the_known_ones_of_both_kinds(name: str) -> None:
    assert not is_feature_codec(name)
    with pytest.raises(MisconfiguredError) as caught:
        feature_codec_class(name)
    assert all(family in caught.value.remedy for family in (*CODECS, *FEATURE_CODECS))


def test_a_name_of_the_other_kind_is_answered_with_what_it_carries() -> None:
    with pytest.raises(MisconfiguredError, match="carries pictures"):
        feature_codec_class("webp:80")
    with pytest.raises(MisconfiguredError, match="carries feature maps"):
        codec_of("features")
    assert not is_feature_codec("webp:80")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_asset_is_refused_or_harmless(data: st.DataObject) -> None:
    content = bytearray(pack_asset(codec("channel-sampling:0.25"), "net", "ab" * 32, (80, 32)))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    for forged in (bytes(content), bytes(content[:cut]), data.draw(st.binary(max_size=100))):
        with contextlib.suppress(MisconfiguredError):
            asset = open_asset(forged)
            assert asset.taps == tuple(asset.codec.shapes)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (b'\\"format\\":1', b'\\"format\\":2', "format 2"),
        (b"channel-sampling", b"channel-sandwich", "channel-sandwich"),
        (b"patchline.codec", b"patchline.cakes", "not a codec of patchline"),
        (b'\\"middle\\"', b'\\"coarse\\"', "tap twice"),
    ],
)
def test_a_foreign_asset_is_refused_with_a_remedy(old: bytes, new: bytes, what: str) -> None:
    content = pack_asset(codec("channel-sampling:0.25"), "net", "ab" * 32, (80, 32))
    assert old in content
    with pytest.raises(MisconfiguredError, match=what) as caught:
        open_asset(content.replace(old, new))
    assert caught.value.remedy
