"""What every registered backbone must keep to; those whose file is at hand are run."""

import numpy as np
import pytest

from patchline.vision.backbones import BACKBONES, store
from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.vision.backbones.spec import BackboneSpec
from patchline.wire.errors import MisconfiguredError

every_backbone = pytest.mark.parametrize("spec", BACKBONES.values(), ids=BACKBONES)


@pytest.fixture
def engine(spec: BackboneSpec) -> OnnxEngine:
    """The backbone's engine with its default taps, or a skip that says why there is none."""
    try:
        found = store.find(spec)
    except MisconfiguredError as error:
        if spec.packaged:
            raise
        pytest.skip(f"{error.what}; {error.remedy}")
    return OnnxEngine(found.read(), spec.ordered(), threads=2, where=str(found.path))


@every_backbone
def test_a_spec_is_whole(spec: BackboneSpec) -> None:
    assert BACKBONES[spec.name] is spec
    assert set(spec.default_taps) <= set(spec.taps)
    assert spec.licence
    assert spec.files or spec.checkpoint
    assert (spec.checkpoint is None) == (not spec.architecture)
    strides = [tap.stride for tap in spec.taps.values()]
    assert strides == sorted(strides)
    for file in spec.files:
        assert set(file.taps) <= set(spec.taps)
        assert len(file.sha256) == 64


@every_backbone
def test_taps_are_ordered_from_shallow_to_deep_and_default_to_the_specs_own(spec: BackboneSpec) -> None:
    assert spec.ordered() == spec.ordered([]) == spec.default_taps
    assert spec.ordered(list(spec.taps)[::-1]) == tuple(spec.taps)
    assert spec.ordered((spec.default_taps[0], spec.default_taps[0])) == spec.default_taps[:1]
    with pytest.raises(MisconfiguredError, match="has no tap 'elsewhere'"):
        spec.ordered(["elsewhere"])


@every_backbone
@pytest.mark.weights
def test_maps_have_the_channels_and_strides_of_the_spec_at_any_size(spec: BackboneSpec, engine: OnnxEngine) -> None:
    for height, width in ((64, 64), (64, 160)):
        maps = engine.run(np.zeros((2, 3, height, width), dtype=np.float32))
        assert tuple(maps) == spec.default_taps
        for tap, array in maps.items():
            row = spec.taps[tap]
            assert array.shape == (2, row.channels, height // row.stride, width // row.stride)


@every_backbone
@pytest.mark.weights
def test_a_picture_has_the_same_maps_alone_as_in_a_batch(spec: BackboneSpec, engine: OnnxEngine) -> None:
    pictures = np.random.default_rng(0).standard_normal((3, 3, 96, 96)).astype(np.float32)
    together = engine.run(pictures)
    for index in range(3):
        for tap, array in engine.run(pictures[index : index + 1]).items():
            scale = float(np.abs(together[tap]).max())
            np.testing.assert_allclose(array[0], together[tap][index], atol=1e-5 * scale)
