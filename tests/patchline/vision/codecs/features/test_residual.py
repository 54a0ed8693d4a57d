import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchline.vision.codecs.features.residual.codec import ResidualCodec
from patchline.vision.codecs.features.sealed_codec import SEAL_BYTES, identity_of, seal
from patchline.vision.nearest.embedding import concatenate
from patchline.vision.pixels.arrays import FeatureMaps
from patchline.wire.errors import MisconfiguredError, UnreadableError

SHAPES = {"fine": (8, 20, 12), "coarse": (12, 10, 6)}


def pictures(count: int, seed: int) -> FeatureMaps:
    """Normal pictures: what they share, and smooth, correlated differences."""
    rng = np.random.default_rng(seed)
    maps = {}
    for tap, (channels, height, width) in SHAPES.items():
        shared = np.sin(np.arange(channels)[:, None, None] + np.add.outer(np.arange(height), np.arange(width)) / 5)
        rough = np.einsum("dc,nchw->ndhw", np.tri(channels), rng.standard_normal((count, channels, height, width)))
        smooth = (rough + np.roll(rough, 1, axis=2) + np.roll(rough, 1, axis=3)) / 10
        maps[tap] = (3 * shared + smooth).astype(np.float32)
    return maps


def departing(seed: int, strength: float) -> FeatureMaps:
    maps = pictures(1, seed)
    for tap, size in (("fine", 4), ("coarse", 2)):
        maps[tap][:, :, size : 2 * size, size : 2 * size] += np.float32(strength)
    return maps


@pytest.fixture(scope="module")
def codec() -> ResidualCodec:
    return ResidualCodec.fit("600", pictures(20, 1), seed=0)


def one(maps: FeatureMaps, at: int) -> FeatureMaps:
    return {tap: array[at : at + 1] for tap, array in maps.items()}


def distance(first: FeatureMaps, second: FeatureMaps) -> float:
    return float(np.square(concatenate(first, pool=True) - concatenate(second, pool=True)).sum())


@pytest.mark.parametrize("limit", ["128", "600", "3000"])
def test_no_picture_is_over_the_limit_however_it_departs(limit: str) -> None:
    fitted = ResidualCodec.fit(limit, pictures(12, 1), seed=0)
    for maps in (pictures(1, 2), departing(3, 5), departing(3, 500), {t: -a for t, a in pictures(1, 4).items()}):
        payload = fitted.encode(maps)
        assert len(payload) <= int(limit)
        fitted.decode(payload)


def test_normal_pictures_use_most_of_the_limit_and_unseen_ones_as_much(codec: ResidualCodec) -> None:
    seen, unseen = (
        np.mean([len(codec.encode(one(maps, at))) for at in range(20)]) for maps in (pictures(20, 1), pictures(20, 9))
    )
    assert 480 < seen < 600
    assert unseen == pytest.approx(seen, rel=0.1)


def test_more_bytes_bring_back_more() -> None:
    training, maps = pictures(20, 1), pictures(1, 7)
    errors = []
    for limit in ("150", "600", "4000"):
        fitted = ResidualCodec.fit(limit, training, seed=0)
        errors.append(distance(fitted.decode(fitted.encode(maps)), maps))
    assert errors == sorted(errors, reverse=True)
    mean = {tap: array.mean(axis=0, keepdims=True) for tap, array in training.items()}
    assert errors[0] < 0.9 * distance(mean, maps)
    assert errors[-1] < 0.05 * distance(mean, maps)


def test_what_departs_is_seen_where_it_is_though_the_picture_is_coded_coarser(codec: ResidualCodec) -> None:
    maps = departing(5, 6.0)
    decoded = codec.decode(codec.encode(maps))
    usual = codec.decode(codec.encode(pictures(1, 5)))
    difference = np.square(concatenate(decoded, pool=True) - concatenate(usual, pool=True)).sum(axis=-1)[0]
    row, column = np.unravel_index(difference.argmax(), difference.shape)
    assert 4 <= row < 8
    assert 4 <= column < 8
    inside = difference[4:8, 4:8].mean()
    assert inside > 20 * difference[12:].mean()


def test_progress_is_told_to_its_end() -> None:
    told: list[tuple[int, int]] = []
    ResidualCodec.fit("300", pictures(3, 1), seed=0, on_progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))


def test_one_picture_is_too_few() -> None:
    with pytest.raises(MisconfiguredError, match="one picture"):
        ResidualCodec.fit("300", pictures(1, 1), seed=0)


def test_more_taps_than_can_be_told_apart_are_refused() -> None:
    with pytest.raises(MisconfiguredError, match="too many"):
        ResidualCodec.fit("300", {f"tap{at}": np.ones((2, 1, 2, 2), np.float32) for at in range(33)}, seed=0)


@pytest.mark.parametrize(
    ("key", "value"), [("frequencies", 0), ("frequencies", 7), ("classes", 64), ("step", 0), ("thresholds", 0)]
)
def test_tensors_that_no_fit_gives_are_refused(codec: ResidualCodec, key: str, value: int) -> None:
    tensors = codec.tensors()
    with pytest.raises(MisconfiguredError, match=key):
        ResidualCodec.restore("600", SHAPES, {**tensors, key: np.full_like(tensors[key], value)})


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_forged_body_under_a_good_seal_is_unreadable_or_finite_maps(
    codec: ResidualCodec, data: st.DataObject
) -> None:
    identity = identity_of(codec.name, codec.shapes, codec.tensors())
    body = bytearray(codec.encode(pictures(1, 2))[SEAL_BYTES:])
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=6)):
        body[place] = data.draw(st.integers(0, 255))
    for forged in (bytes(body), data.draw(st.binary(max_size=592)), bytes(592), b"\xff" * 592):
        try:
            decoded = codec.decode(seal(identity, forged))
        except UnreadableError:
            continue
        assert {tap: array.shape[1:] for tap, array in decoded.items()} == SHAPES
        assert all(np.isfinite(array).all() for array in decoded.values())
