"""The structure of the tree: small modules, plain names, and a reason for each dependency."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["importlinter"]["root_packages"]
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "managers", "base", "misc"}
MOST_LINES = 300


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_modules_are_small() -> None:
    long = {str(path.relative_to(ROOT)) for path in modules() if len(path.read_text().splitlines()) > MOST_LINES}
    assert not long


def test_modules_are_named_for_what_they_hold() -> None:
    assert not {str(path.relative_to(ROOT)) for path in modules() if path.stem in FORBIDDEN_NAMES}


def test_every_dependency_has_its_reason() -> None:
    reasons = (ROOT / "docs/explanation/decisions/0001-dependencies.md").read_text().lower()
    project = PROJECT["project"]
    wanted = project["dependencies"] + [each for extra in project["optional-dependencies"].values() for each in extra]
    names = {each.split(">")[0].split("[")[0].split("=")[0].strip().lower() for each in wanted}
    missing = {name for name in names if name not in reasons and not name.startswith("types-")}
    assert not missing
