"""What an int8 backbone is compared with."""

from patchline.bench.precision import Contestant, speed
from patchline.vision.backbones import store
from patchline.vision.backbones.lookup import backbone_of
from patchline.vision.backbones.onnx_engine import OnnxEngine


def test_speed_is_measured_for_each_contestant() -> None:
    spec = backbone_of("patchline_s")
    model = store.find(spec).read()
    one = Contestant("patchline_s", model, spec.default_taps, OnnxEngine(model, spec.default_taps))
    found = speed([one], (64, 64), seed=0)
    assert 0 < found["patchline_s"]["fastest"] <= found["patchline_s"]["median"]
