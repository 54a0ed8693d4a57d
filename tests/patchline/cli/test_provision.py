"""`patchline provision` as a person types it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from broker_config.site import SITE_FILE, read_site
from patchline.cli.app import app

Run = Callable[..., Any]


@pytest.fixture
def run() -> Run:
    """The command, on a wide terminal."""
    runner = CliRunner()
    return lambda *words: runner.invoke(app, ["provision", *map(str, words)], env={"COLUMNS": "200", "TERM": "dumb"})


@pytest.fixture
def site(run: Run, tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    done = run("--out", folder, "--site", "north", "--broker-host", "broker.lan", "--station", "line-1/top")
    assert done.exit_code == 0, done.output
    assert "1 stations, 7 new certificates" in done.output
    assert "authority" in done.output
    return folder


def test_stations_come_from_the_command_and_from_a_file(run: Run, site: Path, tmp_path: Path) -> None:
    (tmp_path / "stations").write_text("line-2/a   # the first\n\n# none\nnorth/line-2/b\nline-1/top\n")
    done = run("--out", site, "--stations", tmp_path / "stations", "--client", "plc=press", "--client", "hmi=hall")
    assert done.exit_code == 0, done.output
    made = read_site(site)
    assert made is not None
    assert made.stations == ("north/line-1/top", "north/line-2/a", "north/line-2/b")
    assert (made.clients["press"], made.clients["hall"]) == ("plc", "hmi")


def test_the_list_says_who_has_what_and_for_how_long(run: Run, site: Path) -> None:
    assert run("renew", "hmi", "--out", site, "--days", "3").exit_code == 0
    assert run("revoke", "north/line-1/top", "--out", site).exit_code == 0
    lines = {line.split("│")[1].strip(): line for line in run("list", "--out", site).output.splitlines() if "│" in line}
    assert "renew within 30 days" in lines["hmi"]
    assert "revoked" in lines["north/line-1/top"]
    assert "397" in lines["broker"]
    assert "valid" in lines["broker"]


def test_after_an_addition_the_broker_must_read_its_access_list_again(run: Run, site: Path) -> None:
    added = run("--out", site, "--station", "line-1/side")
    assert f"{site}/stations/line-1/side   to its machine" in added.output
    assert f"{site}/broker/site.acl" in added.output
    assert "kill -HUP" in added.output
    assert "kill -HUP" in run("renew", "broker", "--out", site).output
    assert "kill -HUP" not in run("renew", "north/line-1/top", "--out", site).output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "--out"),
        (["--out", "{new}"], "give --site and --broker-host"),
        (["--out", "{site}", "--client", "king=arthur"], "write ROLE=NAME"),
        (["--out", "{site}", "--stations", "{new}"], "list of stations cannot be read"),
        (["list", "--out", "{new}"], SITE_FILE),
        (["renew", "nobody", "--out", "{site}"], "choose from broker"),
        (["renew", "hmi", "--out", "{site}", "--broker-host", "x"], "no server"),
        (["revoke", "nobody", "--out", "{site}"], "choose from broker"),
    ],
)
def test_a_mistake_ends_with_exit_code_2_and_what_to_do(
    run: Run, site: Path, tmp_path: Path, words: list[str], told: str
) -> None:
    done = run(*(word.format(site=site, new=tmp_path / "new") for word in words))
    assert done.exit_code == 2
    assert told in done.output


def test_nothing_is_left_to_revoke_twice(run: Run, site: Path) -> None:
    assert run("revoke", "plc", "--out", site).exit_code == 0
    again = run("revoke", "plc", "--out", site)
    assert again.exit_code == 2
    assert "no certificate that could be revoked" in again.output
