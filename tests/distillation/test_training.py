import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch extra is not installed")
pytest.importorskip("onnx", reason="the torch extra is not installed")

from distillation.chunks import Chunk  # noqa: E402
from distillation.losses import distillation_loss, pooled  # noqa: E402
from distillation.muon import orthogonal  # noqa: E402
from distillation.recipe import Recipe  # noqa: E402
from distillation.run import distil, read_curve  # noqa: E402
from distillation.schedule import Schedule  # noqa: E402
from distillation.training import Run, train  # noqa: E402
from patchline.vision.backbones.onnx_engine import OnnxEngine  # noqa: E402
from patchline.wire.errors import MisconfiguredError  # noqa: E402

pytestmark = pytest.mark.torch
SCHEDULE = Schedule(chunks=3, passes=2, batch=4, fast=False)


def made(index: int) -> Chunk:
    rng = np.random.default_rng(index)
    pixels = np.repeat(np.repeat(rng.integers(0, 256, (8, 8, 8, 3), dtype=np.uint8), 4, 1), 4, 2)
    grey = pixels[:, ::8, ::8].astype(np.float32).mean(-1)[:, None] / 255 - 0.5
    fine = np.repeat(grey, 24, 1).astype(np.float16)
    coarse = np.repeat(grey[..., ::2, ::2], 40, 1).astype(np.float16)
    return Chunk(index, pixels, {"stride8": fine, "stride16": coarse})


def chunks(first: int, last: int) -> Iterator[Chunk]:
    return (made(index) for index in range(first, last))


def test_a_resumed_training_ends_with_the_very_same_weights(tmp_path: Path) -> None:
    whole = Run(SCHEDULE, seed=1)
    train(whole, chunks(0, 3))

    train(Run(SCHEDULE, seed=1), chunks(0, 2), checkpoint=tmp_path / "checkpoint.pt")
    resumed = Run(SCHEDULE, seed=2)
    resumed.seed = 1
    resumed.resume(tmp_path / "checkpoint.pt")
    assert resumed.learned == 2
    train(resumed, chunks(resumed.learned, 3))

    for name, weight in whole.average.state_dict().items():
        assert torch.equal(weight, resumed.average.state_dict()[name]), name
    for name, weight in whole.student.state_dict().items():
        assert torch.equal(weight, resumed.student.state_dict()[name]), name


def test_the_error_falls_while_it_learns() -> None:
    run = Run(replace(SCHEDULE, chunks=12), seed=0)
    figures: list[dict[str, float]] = []
    train(run, (replace(made(0), index=index) for index in range(12)), on_chunk=lambda _, f: figures.append(f))
    assert figures[-1]["stride8"] < 0.5 * figures[1]["stride8"]
    assert figures[-1]["stride16"] < 0.5 * figures[1]["stride16"]


def test_a_perfect_prediction_loses_nothing_and_a_constant_one_about_everything() -> None:
    target = torch.randn(4, 8, 6, 6) / 8**0.5
    loss, shares = distillation_loss((target, target), (target, target))
    assert float(loss) == 0
    assert shares.tolist() == [0, 0]
    _, shares = distillation_loss((torch.zeros_like(target),), (target,))
    assert 0.7 < float(shares[0]) < 1.3


def test_pooling_averages_what_is_there_at_the_border() -> None:
    torch.testing.assert_close(pooled(torch.ones(1, 2, 5, 5)), torch.ones(1, 2, 5, 5))


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_an_orthogonal_update_moves_all_directions_about_alike(shape: tuple[int, int]) -> None:
    torch.manual_seed(3)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert float(values.max()) < 1.3
    assert float(values.min()) > 0.3


def test_the_pace_rises_stays_and_falls_to_nothing() -> None:
    paces = [Schedule(chunks=40).pace(done) for done in np.linspace(0, 40, 101)]
    assert paces[0] == 0
    assert max(paces) == 1
    assert paces[-1] == 0
    assert all(later <= earlier for earlier, later in pairwise(paces[10:]))


def test_a_second_cycle_begins_at_nothing_and_is_slower() -> None:
    schedule = Schedule(chunks=62, restart=44)
    assert schedule.pace(44) == 0
    assert max(schedule.pace(done) for done in np.linspace(44, 62, 101)) < schedule.again
    assert schedule.pace(62) == 0
    assert all(schedule.pace(done) == Schedule(chunks=44).pace(done) for done in np.linspace(0, 43.9, 50))


@pytest.mark.slow
def test_a_tiny_run_goes_from_drawn_pictures_to_a_model_that_runs(tiny_teacher: Path, tmp_path: Path) -> None:
    recipe = Recipe(
        scenes=6,
        products=1,
        picture_side=96,
        chunk_size=8,
        sides=(64,),
        projection_crops=8,
        schedule=replace(SCHEDULE, chunks=2),
    )
    stages: list[tuple[str, int, int]] = []
    model = distil(recipe, teacher=tiny_teacher, work=tmp_path, on_progress=lambda *at: stages.append(at))
    again = distil(recipe, teacher=tiny_teacher, work=tmp_path)
    assert model == again
    assert [at for at in stages if at[0] == "training"] == [("training", 1, 2), ("training", 2, 2)]
    assert [row["chunk"] for row in read_curve(recipe, tmp_path)] == [1, 2]
    maps = OnnxEngine(model, ["stride8", "stride16"]).run(np.zeros((1, 3, 64, 64), np.float32))
    assert maps["stride8"].shape == (1, 16, 8, 8)
    assert json.dumps(recipe.notes())


def test_a_missing_teacher_is_named(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="teacher does not exist"):
        distil(Recipe(), teacher=tmp_path / "nothing.onnx", work=tmp_path)
