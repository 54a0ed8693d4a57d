"""The command line: every verb tells how it is used, and every refusal is one line with its exit code."""

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from patchline.cli.app import app
from patchline.cli.verbs import VERBS, load
from patchline.runtime.version import program_version
from patchline.wire.errors import MisconfiguredError, UnavailableError, UnreadableError

HEAVY = ("numpy", "onnxruntime", "PIL", "paho", "matplotlib", "sqlalchemy", "faiss", "torch")


@pytest.fixture
def run() -> Any:
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})


def test_version_is_the_installed_one(run: Any) -> None:
    done = run("--version")
    assert done.exit_code == 0
    assert done.stdout.strip() == f"patchline {program_version()}"


def test_help_lists_every_verb_and_the_exit_codes(run: Any) -> None:
    done = run("--help")
    assert done.exit_code == 0
    assert all(verb in done.stdout for verb in VERBS)
    assert "Exit codes" in done.stdout


def commands() -> Any:
    """Every verb, and every verb of a group, as it is written."""
    for verb in sorted(VERBS):
        yield verb
        yield from (f"{verb} {name}" for name in sorted(getattr(load(verb), "commands", {})))


@pytest.mark.parametrize("command", [*commands()])
def test_every_command_shows_examples_that_a_person_can_copy_from_a_small_terminal(command: Any) -> None:
    done = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "80", "TERM": "dumb"})
    assert done.exit_code == 0, done.output
    lines = [line.rstrip() for line in done.stdout.partition("Example")[2].partition("╭")[0].splitlines()]
    assert any(f"patchline {command}" in line for line in lines)
    continued = [before for before, line in itertools.pairwise(lines) if line.lstrip().startswith("--")]
    assert all(line.endswith("\\") for line in continued), "a line that was broken runs as two commands"


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verbs_own_help_begins_as_the_list_of_verbs_promises_a_command(verb: Any) -> None:
    assert load(verb).name == verb


def test_help_loads_none_of_the_heavy_rooms() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['patchline', '--help']\n"
        "from patchline.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout


def test_ctrl_c_ends_a_command_in_a_word_and_the_shells_exit_code(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("patchline.cli.draw.write_category", interrupt)
    done = run("draw", "--product", "washer", "--out", "nowhere")
    assert (done.exit_code, done.stderr) == (130, "interrupted\n")


def test_an_unknown_verb_is_refused(run: Any) -> None:
    done = run("no-such-verb")
    assert done.exit_code == 2
    assert "no-such-verb" in done.output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MisconfiguredError("the thing is wrong", where="here", remedy="do that"), 2),
        (UnreadableError("the thing is wrong (here); do that"), 2),
        (UnavailableError("the thing is wrong (here); do that"), 3),
    ],
)
def test_each_kind_of_refusal_has_its_exit_code_and_one_line(
    run: Any, monkeypatch: pytest.MonkeyPatch, error: Any, code: Any
) -> None:
    def refuse(*_arguments: Any) -> None:
        raise error

    monkeypatch.setattr("patchline.replay.broker.find_kind", refuse)
    done = run("demo")
    assert done.exit_code == code
    assert done.stderr == "error: the thing is wrong (here); do that\n"


def test_a_bug_stays_loud(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("patchline.replay.broker.find_kind", fail)
    done = run("demo")
    assert isinstance(done.exception, ZeroDivisionError)


REPLAY = ("replay", "--report", "REPORT")
REFUSALS = [
    (("--data", "NOWHERE"), "NOWHERE"),
    (("--data", "DATA", "--codec", "webp:eighty"), "eighty"),
    (("--data", "DATA", "--codec", "gif"), "gif"),
    (("--data", "DATA", "--backbone", "alexnet"), "alexnet"),
    (("--data", "DATA", "--detector", "oracle"), "oracle"),
    (("--data", "DATA", "--kill", "edge@3"), "edge@3"),
    (("--data", "DATA", "--parameter", "neighbours"), "neighbours"),
    (("--data", "DATA", "--parameter", "nonsense=1"), "nonsense"),
    (("--data", "DATA", "--input-size", "224"), "224"),
    (("--data", "DATA", "--maps", "some"), "some"),
    (("--data", "DATA", "--artifact", "NOWHERE"), "NOWHERE"),
    (("--data", "DATA", "--stations", "60"), "60 stations"),
]


@pytest.mark.parametrize(("arguments", "named"), REFUSALS, ids=[" ".join(each[0][1:]) for each in REFUSALS])
def test_a_replay_that_cannot_be_is_refused_in_one_line(
    run: Any, tiny_category: Any, tmp_path: Path, arguments: Any, named: Any
) -> None:
    places = {"DATA": str(tiny_category), "NOWHERE": str(tmp_path / "NOWHERE"), "REPORT": str(tmp_path / "report")}
    done = run(*(places.get(each, each) for each in (*REPLAY, *arguments)))
    assert done.exit_code == 2, done.output
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert named in lines[0]
    assert ";" in lines[0], "no remedy"


def test_an_earlier_report_is_never_written_over(run: Any, tiny_category: Any, tmp_path: Path) -> None:
    report = tmp_path / "report"
    report.mkdir()
    (report / "report.json").write_text("{}")
    done = run("replay", "--data", str(tiny_category), "--report", str(report))
    assert done.exit_code == 2
    assert "holds something already" in done.stderr
    assert (report / "report.json").read_text() == "{}"


def test_a_refusal_of_the_installed_program_has_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "patchline", "replay", "--data", str(tmp_path / "none"), "--report", "x"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path.cwd(), env={**os.environ, "COLUMNS": "200"}
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
