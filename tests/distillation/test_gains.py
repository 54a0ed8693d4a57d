from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")

from distillation.gains import restoring_gains  # noqa: E402
from distillation.student import Student  # noqa: E402
from distillation.targets import Projection, fit_projections  # noqa: E402
from distillation.teacher import TAPS, OnnxTeacher  # noqa: E402
from patchline.vision.pixels.preprocessing import normalise  # noqa: E402

pytestmark = pytest.mark.torch


def test_gains_give_every_channel_the_spread_of_its_target(tiny_teacher: Path) -> None:
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, 256, (4, 64, 64, 3), dtype=np.uint8) for _ in range(3)]
    teacher = OnnxTeacher(tiny_teacher)
    projections: dict[str, Projection] = fit_projections(teacher.maps(normalise(crops)) for crops in batches)
    torch.manual_seed(0)
    student = Student().eval()
    gains = restoring_gains(student, teacher, projections, batches)

    batch = normalise(np.concatenate(batches))
    maps = teacher.maps(batch)
    with torch.no_grad():
        predictions = student(torch.from_numpy(batch))
    for tap, prediction in zip(TAPS, predictions, strict=True):
        spread = (prediction.numpy() * gains[tap.student][:, None, None]).std(axis=(0, 2, 3))
        wanted = projections[tap.student].apply(maps[tap.teacher]).std(axis=(0, 2, 3))
        np.testing.assert_allclose(spread, wanted, rtol=1e-3)
