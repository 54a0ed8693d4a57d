"""The packaged weights, their spec, their card and the recipe in this repository belong together."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from distillation.recipe import Recipe
from distillation.schedule import Schedule
from distillation.teacher import TAPS
from patchline.vision.backbones import BACKBONES
from patchline.vision.backbones.onnx_engine import OnnxEngine
from patchline.vision.backbones.store import PACKAGED

SPEC = BACKBONES["patchline_s"]
MODEL = PACKAGED / SPEC.files[0].name
CARD = PACKAGED / "MODEL_CARD.md"


def test_the_file_is_the_one_of_the_spec_and_of_the_card_and_at_most_four_megabytes() -> None:
    content = MODEL.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    assert digest == SPEC.files[0].sha256
    assert digest in CARD.read_text()
    assert len(content) <= 4_000_000


def test_the_spec_has_the_taps_that_the_students_of_this_room_have() -> None:
    assert {name: (tap.channels, tap.stride) for name, tap in SPEC.taps.items()} == {
        tap.student: (tap.shipped, tap.stride) for tap in TAPS
    }
    maps = OnnxEngine(MODEL.read_bytes(), SPEC.ordered()).run(np.zeros((2, 3, 96, 160), np.float32))
    for name, tap in SPEC.taps.items():
        assert maps[name].shape == (2, tap.channels, 96 // tap.stride, 160 // tap.stride)


@pytest.mark.torch
def test_the_file_was_made_by_the_recipe_in_this_repository() -> None:
    onnx = pytest.importorskip("onnx", reason="the torch extra is not installed")
    notes = json.loads(onnx.load(MODEL).metadata_props[0].value)
    assert notes["recipe"] == json.loads(json.dumps(Recipe().notes()))
    assert notes["teacher_sha256"] == BACKBONES["mobilenet_v2"].files[0].sha256
    assert len(notes["pictures_sha256"]) == 64


def test_another_recipe_works_in_another_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    work = tmp_path_factory.mktemp("work")
    folders = {
        Recipe().folder(work),
        Recipe(seed=1).folder(work),
        Recipe(schedule=replace(Schedule(), chunks=45)).folder(work),
    }
    assert len(folders) == 3
