"""The recipe of the packaged backbone: every number that its weights depend on, and where the work is kept."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from distillation.scenes import RECIPE
from distillation.schedule import Schedule


@dataclass(frozen=True)
class Recipe:
    """What a training is made of.

    Attributes:
        seed: Of everything random.
        scenes: How many scenes are drawn.
        products: How many pictures of the synthetic line's products are drawn besides.
        picture_side: Of a drawn picture, in pixels.
        chunk_size: Crops a chunk.
        sides: Of the crops, chunk by chunk in turn.
        projection_crops: Crops from which the principal directions of the teacher are found, and as many others from
            which, after the training, the gains are.
        schedule: How long and how fast.
    """

    seed: int = 0
    scenes: int = 4000
    products: int = 260
    picture_side: int = 288
    chunk_size: int = 1024
    sides: tuple[int, ...] = (128, 160, 192)
    projection_crops: int = 400
    schedule: Schedule = field(default_factory=Schedule)

    def notes(self) -> dict[str, object]:
        """The recipe as plain values, the version of the drawings among them."""
        return {"drawings": RECIPE, **asdict(self)}

    def folder(self, work: Path) -> Path:
        """Where a run of this recipe keeps its checkpoint; another recipe is another folder."""
        text = json.dumps(self.notes(), sort_keys=True)
        return work / f"run-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def work_folder() -> Path:
    """`$XDG_CACHE_HOME/patchline/distillation`, by default under `~/.cache`: gigabytes that can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "patchline" / "distillation"
