"""`docs/explanation/flow.md` names files and functions that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "flow.md"
CELL = re.compile(r"`([\w/]+\.py):([\w.]+)`")
CELLS = [(match[1], match[2]) for match in CELL.finditer(PAGE.read_text(encoding="utf-8"))]
STAGES = ["trigger", "expose", "encode", "keep", "send", "open", "score", "judge", "show", "act"]


def functions_of(path: Path) -> set[str]:
    """The functions of a module and the methods of its classes, as `function` and `Class.method`."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return found


@pytest.mark.parametrize(("file", "function"), CELLS, ids=[f"{file}:{function}" for file, function in CELLS])
def test_each_cell_names_a_function_that_exists(file: str, function: str) -> None:
    path = ROOT / file
    assert path.is_file(), f"flow.md, cell `{file}:{function}`: there is no file {file}"
    known = functions_of(path)
    assert function in known, f"flow.md, cell `{file}:{function}`: {file} has only {', '.join(sorted(known))}"


def test_the_stages_are_those_of_a_part_in_their_order() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    found = [line.split("|")[1].strip() for line in rows if CELL.search(line)]
    stages = list(dict.fromkeys(stage for stage in found))
    assert stages == STAGES


def test_the_way_is_short_enough_to_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted({file for file, _ in CELLS})
    lines = sum(
        len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in files if (ROOT / file).is_file()
    )
    with capsys.disabled():
        print(f"\nthe way of one part: {len(CELLS)} functions in {len(files)} files of {lines} lines")
    assert len(files) <= 40
