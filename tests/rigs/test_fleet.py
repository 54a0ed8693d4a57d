"""The fleet's books and its judgement of memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from patchline.replay.broker import find_mosquitto
from tests.rigs.fleet.memory import memory_of

MEGABYTE = 1024 * 1024


def samples(*sizes: int) -> list[tuple[float, int]]:
    return [(float(second), size * MEGABYTE) for second, size in enumerate(sizes)]


def test_memory_that_grows_at_the_start_only_is_flat() -> None:
    memory = memory_of(samples(10, 60, 90, *[100] * 6))
    assert memory.flat
    assert memory.growth_bytes_per_minute == pytest.approx(0.0, abs=1.0)
    assert memory.largest_bytes == 100 * MEGABYTE


def test_memory_that_goes_on_growing_is_not() -> None:
    memory = memory_of(samples(*range(100, 160)))
    assert not memory.flat
    assert memory.growth_bytes_per_minute == pytest.approx(60 * MEGABYTE)


@pytest.mark.broker
@pytest.mark.slow
def test_a_small_fleet_is_judged_to_the_last_part(tmp_path: Path) -> None:
    if find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed (apt install mosquitto)")
    pytest.importorskip("psutil", reason="psutil, of the bench extra, is not installed")
    file = tmp_path / "fleet.json"
    command = [
        sys.executable, "-m", "tests.rigs.fleet", "--stations", "8", "--processes", "2", "--artifacts", "2",
        "--parts", "4", "--takt", "1", "--input-size", "64", "--json", str(file),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert file.is_file(), done.stdout + done.stderr
    figures = json.loads(file.read_bytes())
    assert figures["produced"] == figures["judged"] == 32
    assert figures["lost"] == figures["unanswered"] == figures["duplicated"] == 0
    assert figures["memory"].keys() == {"service", "broker"}
