"""Cutting ONNX graphs at their taps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchline.vision.backbones.graph import cut
from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.wire.errors import MisconfiguredError

onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")

EVERY_TAP = ("tap1", "tap2", "tap3")


def outputs(model: bytes) -> tuple[str, ...]:
    return tuple(output.name for output in onnx.load_from_string(model).graph.output)


@pytest.mark.parametrize("taps", [("tap1",), ("tap2",), ("tap3",), ("tap3", "tap1"), EVERY_TAP])
def test_a_cut_model_gives_what_the_whole_one_gave(chain_model: bytes, taps: tuple[str, ...]) -> None:
    part = cut(chain_model, taps)
    batch = np.random.default_rng(1).standard_normal((2, 3, 32, 24)).astype(np.float32)
    whole = OnnxEngine(chain_model, EVERY_TAP).run(batch)
    found = OnnxEngine(part, taps).run(batch)
    assert outputs(part) == taps
    assert list(found) == list(taps)
    for tap in taps:
        np.testing.assert_array_equal(found[tap], whole[tap])


def test_nodes_and_weights_beyond_the_deepest_tap_are_left_out(chain_model: bytes) -> None:
    part = cut(chain_model, ("tap2",))
    for name in (b"node_tap1", b"tap1.weight", b"node_tap2", b"tap2.weight", b"patchline tests"):
        assert name in part
    for name in (b"node_tap3", b"tap3.weight", b"aside"):
        assert name in chain_model
        assert name not in part


def test_cutting_twice_changes_nothing_more(chain_model: bytes) -> None:
    part = cut(chain_model, ("tap2", "tap1"))
    assert cut(part, ("tap2", "tap1")) == part


def test_an_unknown_tap_is_refused_and_the_known_ones_named(chain_model: bytes) -> None:
    with pytest.raises(MisconfiguredError, match="no output 'tap9'; it has tap1, tap2, tap3"):
        cut(chain_model, ("tap9",))


@given(junk=st.binary(max_size=300))
def test_junk_is_refused_as_no_model(junk: bytes) -> None:
    with pytest.raises(MisconfiguredError):
        cut(junk, ("tap1",))


@given(data=st.data())
def test_a_damaged_model_is_refused_or_cut_but_never_a_crash(chain_model: bytes, data: st.DataObject) -> None:
    damaged = bytearray(chain_model[: data.draw(st.integers(0, len(chain_model)))])
    for position in data.draw(st.lists(st.integers(0, max(0, len(damaged) - 1)), max_size=5)):
        if damaged:
            damaged[position] ^= data.draw(st.integers(1, 255))
    try:
        cut(bytes(damaged), ("tap1",))
    except MisconfiguredError as error:
        assert str(error)  # noqa: PT017 - either outcome is right, a crash is not


def test_a_cut_model_satisfies_onnx_own_checker(chain_model: bytes) -> None:
    model = onnx.load_from_string(cut(chain_model, ("tap2",)))
    onnx.checker.check_model(model, full_check=True)
    assert len(model.graph.node) == 2
    assert len(model.graph.initializer) == 2
