"""Random sampling: what is kept is exact, what is lost is filled as promised, and the seed decides."""

import numpy as np
import pytest
from numpy.typing import NDArray

from patchline.vision.codecs.features.sampling import ChannelSamplingCodec, PatchSamplingCodec
from patchline.vision.codecs.features.sealed_codec import SEAL_BYTES
from patchline.vision.nearest.embedding import average_pool_3x3
from patchline.vision.pixels.arrays import FeatureMaps
from patchline.wire.errors import MisconfiguredError

TAPS = {"fine": (8, 10, 6), "coarse": (12, 5, 3)}


def maps(pictures: int, seed: int) -> FeatureMaps:
    rng = np.random.default_rng(seed)
    return {tap: rng.standard_normal((pictures, *shape)).astype(np.float32) for tap, shape in TAPS.items()}


def indices(codec: ChannelSamplingCodec | PatchSamplingCodec, tap: str) -> NDArray[np.intp]:
    return codec.tensors()[f"kept of {tap}"].astype(np.intp)


def test_kept_channels_are_exact_and_lost_ones_add_nothing_to_a_distance() -> None:
    codec = ChannelSamplingCodec.fit("0.25", maps(3, 0), seed=5)
    one, other = maps(1, 1), maps(1, 2)
    decoded, decoded_other = codec.decode(codec.encode(one)), codec.decode(codec.encode(other))
    for tap, shape in TAPS.items():
        kept = indices(codec, tap)
        assert len(kept) == shape[0] // 4
        assert np.array_equal(decoded[tap][:, kept], one[tap][:, kept])
        lost = np.setdiff1d(np.arange(shape[0]), kept)
        pooled = average_pool_3x3(decoded[tap])[:, lost] - average_pool_3x3(decoded_other[tap])[:, lost, ::-1]
        assert not pooled.any()


def test_kept_patches_are_exact_and_lost_ones_take_the_nearest_kept_ones_values() -> None:
    codec = PatchSamplingCodec.fit("0.25", maps(3, 0), seed=5)
    one = maps(1, 1)
    decoded = codec.decode(codec.encode(one))
    for tap, (_, height, width) in TAPS.items():
        kept = indices(codec, tap)
        assert len(kept) == round(height * width / 4)
        places = np.stack(np.divmod(kept, width), axis=1)
        for place in np.ndindex(height, width):
            distances = np.square(places - place).sum(axis=1)
            nearest = [tuple(near) for near in places[distances == distances.min()]]
            values = decoded[tap][(0, slice(None), *place)]
            assert any(np.array_equal(values, one[tap][(0, slice(None), *near)]) for near in nearest)


@pytest.mark.parametrize("kind", [ChannelSamplingCodec, PatchSamplingCodec])
def test_the_seed_decides_what_is_kept_and_the_share_how_much(
    kind: type[ChannelSamplingCodec | PatchSamplingCodec],
) -> None:
    first, again, other = (kind.fit("0.5", maps(3, 0), seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(indices(first, "coarse"), indices(again, "coarse"))
    assert not np.array_equal(indices(first, "coarse"), indices(other, "coarse"))
    whole = sum(4 * channels * height * width for channels, height, width in TAPS.values())
    assert len(first.encode(maps(1, 1))) - SEAL_BYTES == pytest.approx(whole / 2, rel=0.05)
    smallest = kind.fit("0.0001", maps(3, 0), seed=1)
    assert len(indices(smallest, "fine")) == 1


@pytest.mark.parametrize("kind", [ChannelSamplingCodec, PatchSamplingCodec])
@pytest.mark.parametrize("fault", ["beyond", "twice", "backwards"])
def test_indices_that_do_not_count_up_within_the_maps_are_refused(
    kind: type[ChannelSamplingCodec | PatchSamplingCodec], fault: str
) -> None:
    codec = kind.fit("0.5", maps(3, 0), seed=1)
    tensors = codec.tensors()
    kept = tensors["kept of coarse"].copy()
    match fault:
        case "beyond":
            kept[-1] = 2**32 - 1
        case "twice":
            kept[1] = kept[0]
        case _:
            kept = kept[::-1].copy()
    with pytest.raises(MisconfiguredError, match="kept of coarse does not count up"):
        kind.restore("0.5", TAPS, {**tensors, "kept of coarse": kept})
