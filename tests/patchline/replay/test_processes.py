from pathlib import Path
from typing import Any

import pytest

from patchline.replay.processes import Program
from patchline.wire.errors import MisconfiguredError, UnavailableError


def test_a_program_that_refuses_its_settings_is_named_with_its_own_words(tmp_path: Path, eventually: Any) -> None:
    program = Program("station", ["edge", "--config", str(tmp_path / "none.toml")], tmp_path / "logs" / "edge.log")
    program.start()
    eventually(lambda: not program.running)
    with pytest.raises(MisconfiguredError, match=r"station refused its settings: .*none\.toml"):
        program.check()


def test_a_killed_program_is_noticed_and_can_start_again(tmp_path: Path, eventually: Any) -> None:
    program = Program("helper", ["--help"], tmp_path / "helper.log")
    program.start()
    program.kill()
    with pytest.raises(UnavailableError, match="helper ended with code -9"):
        program.check()
    program.start()
    eventually(lambda: program.exit_code == 0)
    program.check()
    assert "Usage" in program.log.read_text()


def test_settings_in_the_environment_do_not_reach_a_simulated_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATCHLINE_EDGE_NO_SUCH_SETTING", "1")
    program = Program("x", ["--version"], tmp_path / "x.log")
    assert "PATCHLINE_EDGE_NO_SUCH_SETTING" not in program.environment


def test_stopping_what_never_started_is_no_fault(tmp_path: Path) -> None:
    program = Program("x", ["--version"], tmp_path / "x.log")
    program.stop()
    program.kill()
    assert program.exit_code is None
    assert program.last_words() == "no log"
