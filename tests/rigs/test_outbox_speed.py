"""The outbox's benchmark measures what it says, and leaves nothing behind."""

import json
import subprocess
import sys
from pathlib import Path

from tests.rigs.outbox_speed import measure, table


def test_outbox_and_raw_file_take_turns_and_both_come_to_something(tmp_path: Path) -> None:
    rate = measure(tmp_path, 2000, 2, seconds=0.05, rounds=1, seed=0)
    assert min(rate.raw_per_second, rate.appends_per_second, rate.lives_per_second) > 0
    assert rate.share == rate.appends_per_second / rate.raw_per_second
    assert list(tmp_path.iterdir()) == []
    assert table([rate]).row_count == 1


def test_the_verb_writes_the_figures_it_prints(tmp_path: Path) -> None:
    file = tmp_path / "outbox.json"
    told = ["--folder", str(tmp_path), "--json", str(file), "--seconds", "0.02", "--rounds", "1"]
    command = [sys.executable, "-m", "tests.rigs.outbox_speed", *told, "--size", "1000", "--writers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = json.loads(file.read_bytes())
    assert [(row["size_bytes"], row["writers"]) for row in written["rows"]] == [(1000, 1)]
    assert f"{written['rows'][0]['appends_per_second']:.0f}" in done.stdout
