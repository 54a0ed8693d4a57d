"""A folder of pictures small enough to be refused quickly."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def tiny_category(tmp_path: Path) -> Path:
    """Four good pictures to learn from and four parts to test with, in MVTec's layout."""
    rng = np.random.default_rng(0)
    category = tmp_path / "tiny"
    for folder in ("train/good", "test/good", "test/dent"):
        for number in range(4 if folder == "train/good" else 2):
            path = category / folder / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)).save(path)
    return category
