import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")
onnx = pytest.importorskip("onnx", reason="the torch extra is not installed")

from distillation.export import to_onnx  # noqa: E402
from distillation.student import Student, multiply_adds  # noqa: E402
from distillation.teacher import TAPS  # noqa: E402
from patchline.vision.backbones.onnx_engine import OnnxEngine  # noqa: E402

pytestmark = pytest.mark.torch
SCALES = {
    "stride8": np.linspace(1, 3, 24, dtype=np.float32),
    "stride16": np.linspace(2, 5, 40, dtype=np.float32),
}
ONES = [torch.ones(24), torch.ones(40)]


@pytest.fixture(scope="module")
def student() -> Student:
    torch.manual_seed(0)
    made = Student()
    for layer in made.modules():  # as a training leaves them: no statistic at its start
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, 0, 0.1)
    made.eval()
    return made


def test_folding_the_branches_changes_nothing(student: Student) -> None:
    batch = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        for tap, whole, after in zip(TAPS, student(batch), student.plain(ONES)(batch), strict=True):
            before = whole[:, : tap.shipped]
            assert before.shape == after.shape
            torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-4 * float(before.abs().max()))


def test_the_exported_model_equals_the_student_up_to_float16_weights_at_any_size_and_number(student: Student) -> None:
    model = to_onnx(student, SCALES, notes={"seed": 0})
    engine = OnnxEngine(model, [tap.student for tap in TAPS])
    for shape in ((1, 3, 224, 224), (3, 3, 128, 192)):
        batch = torch.randn(shape)
        found = engine.run(batch.numpy())
        with torch.no_grad():
            expected = dict(zip(SCALES, student(batch), strict=True))
        for tap in TAPS:
            assert found[tap.student].dtype == np.float32
            assert found[tap.student].shape[1:] == (tap.shipped, shape[2] // tap.stride, shape[3] // tap.stride)
            wanted = (expected[tap.student].numpy() * SCALES[tap.student][:, None, None])[:, : tap.shipped]
            assert np.abs(found[tap.student] - wanted).max() < 3e-3 * np.abs(wanted).max()


def test_the_file_is_small_stores_float16_and_says_where_it_comes_from(student: Student) -> None:
    model = to_onnx(student, SCALES, notes={"seed": 7})
    assert len(model) < 4_000_000
    graph = onnx.load_from_string(model)
    kinds = {weight.data_type for weight in graph.graph.initializer if np.prod(weight.dims) > 1}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert json.loads(graph.metadata_props[0].value) == {"seed": 7}
    assert graph.opset_import[0].version == 17


def test_the_student_costs_less_than_a_third_of_its_teacher(student: Student) -> None:
    mobilenet_v2_up_to_features_13 = 209_000_000
    assert 3 * multiply_adds(student.plain(ONES)) < mobilenet_v2_up_to_features_13
