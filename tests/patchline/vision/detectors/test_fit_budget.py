"""What a fit says it takes, against what it takes, and what happens where that is too much."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from patchline.vision.detectors import fit_budget
from patchline.vision.detectors.fit_budget import working_bytes
from patchline.vision.detectors.patchcore import PatchCore
from patchline.vision.pixels.arrays import FeatureMaps
from patchline.wire.errors import MisconfiguredError

STATUS = Path("/proc/self/status")
MEASURED = """
import sys
import numpy as np
from pathlib import Path
from patchline.vision.detectors.patchcore import PatchCore

def now(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))

def batches(count):
    rng = np.random.default_rng(0)
    for _ in range(count):
        yield {"tap": rng.standard_normal((8, 256, 28, 28), dtype=np.float32)}

dimensions = int(sys.argv[2]) or None
PatchCore.fit([{"tap": np.ones((2, 256, 4, 4), np.float32)}], seed=0)  # what is imported on first use
before = now("VmRSS")
PatchCore.fit(batches(6), seed=0, coreset_ratio=float(sys.argv[1]), projection_dimensions=dimensions)
print(now("VmHWM") - before)
"""


@pytest.mark.skipif(not STATUS.is_file(), reason="the peak of a process's memory is read from /proc")
@pytest.mark.parametrize(("ratio", "dimensions"), [(0.01, 64), (0.25, 8), (0.01, 0)])
def test_a_fit_takes_no_more_memory_than_it_says_and_not_much_less(ratio: float, dimensions: int) -> None:
    words = [sys.executable, "-c", MEASURED, str(ratio), str(dimensions)]
    taken = int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    rows = 6 * 8 * 784
    said = working_bytes(rows, 256, dimensions or 256, bank_rows=round(ratio * rows), batch_rows=8 * 784)
    assert taken <= said
    assert taken >= 0.5 * said


def maps_of(seed: int) -> FeatureMaps:
    return {"tap": np.random.default_rng(seed).standard_normal((6, 9, 8, 8)).astype(np.float32)}


@pytest.fixture
def exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is set aside for what does not grow with the patches."""
    monkeypatch.setattr(fit_budget, "_FIXED_BYTES", 0)


@pytest.mark.usefixtures("exactly")
def test_what_passes_the_budget_is_refused_at_the_batch_that_does() -> None:
    seen = 0

    def batches() -> Iterator[FeatureMaps]:
        nonlocal seen
        for seed in range(5):
            seen += 1
            yield maps_of(seed)

    with pytest.raises(MisconfiguredError, match=r"first 12 pictures.*budget is 0.1 MB.*fewer pictures"):
        PatchCore.fit(batches(), seed=0, bank_budget_mb=0.1)
    assert seen == 2


def test_a_budget_that_has_room_for_next_to_nothing_is_refused() -> None:
    with pytest.raises(MisconfiguredError, match="bank_budget_mb"):
        PatchCore.fit([maps_of(1)], seed=0, bank_budget_mb=1)
