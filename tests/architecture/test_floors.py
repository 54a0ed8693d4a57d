"""The house keeps its shape: every module stands on a floor, rooms stay small, names say what is in them."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = PROJECT["tool"]["importlinter"]["root_packages"]
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "managers", "base", "misc"}
ASSEMBLY = {"patchline", "line_replay", "benchmarks", "distillation"}


def modules() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floors() -> list[str]:
    layers = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    return [name.strip().strip("()") for layer in layers for name in layer.split(":")]


def is_a_room_s_door(path: Path) -> bool:
    """A package's own file: a docstring, and at most the literal registry of what is in the room."""
    body = ast.parse(path.read_text()).body
    kinds = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
    return path.name == "__init__.py" and all(isinstance(statement, kinds) for statement in body)


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_every_module_stands_on_a_floor(path: Path) -> None:
    name = dotted(path)
    on_a_floor = any(name == floor or name.startswith(f"{floor}.") for floor in floors())
    assert on_a_floor or is_a_room_s_door(path), f"{name} is on no floor of pyproject.toml"


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_rooms_are_small_and_named_for_what_they_hold(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES
    assert len(path.read_text().splitlines()) <= 300, "two rooms in one?"


def test_every_dependency_has_its_reason() -> None:
    reasons = (ROOT / "docs/decisions/0001-dependencies.md").read_text().lower()
    project = PROJECT["project"]
    wanted = project["dependencies"] + [each for extra in project["optional-dependencies"].values() for each in extra]
    names = {each.split(">")[0].split("[")[0].split("=")[0].strip().lower() for each in wanted}
    missing = {name for name in names if name not in reasons and not name.startswith("types-")}
    assert not missing
