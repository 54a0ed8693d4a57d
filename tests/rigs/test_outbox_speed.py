"""The outbox's rig measures what it says, and leaves nothing behind."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rigs.outbox_speed import STEPS, measure, table


@pytest.mark.parametrize("open_rows", [0, 5])
def test_every_part_goes_through_all_steps(tmp_path: Path, open_rows: int) -> None:
    speed = measure(tmp_path, 2000, 20, open_rows=open_rows)
    assert speed.parts_per_second > 0
    assert len(speed.tenths_per_second) == 10
    assert set(speed.step_ms) == set(STEPS)
    for middle, late, last in speed.step_ms.values():
        assert 0 < middle <= late <= last
    assert list(tmp_path.iterdir()) == []
    assert table([speed]).row_count == 1


def test_the_command_writes_the_figures_it_prints(tmp_path: Path) -> None:
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("a slow fsync needs a C compiler")
    file = tmp_path / "outbox.json"
    told = ["--folder", str(tmp_path), "--json", str(file), "--parts", "5", "--rate", "0", "--fsync-ms", "2"]
    command = [sys.executable, "-m", "tests.rigs.outbox_speed", *told, "--size", "1000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(file.read_bytes())["rows"]
    assert (row["size_bytes"], row["fsync_ms"]) == (1000, 2.0)
    assert row["step_ms"]["claim"][0] >= 2.0
    assert f"{row['parts_per_second']:.1f}" in done.stdout
