"""The structure of the tree: small modules and functions, plain names, and a reason for each dependency.

The tables list what is over a limit today. An entry that is no longer needed fails the test, so they only get shorter.
"""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["importlinter"]["root_packages"]
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "managers", "base", "misc"}

MOST_LINES, MOST_FUNCTION_LINES, MOST_COLLABORATORS, MOST_PARAMETERS = 250, 50, 7, 12

LONG_MODULES = {
    "analytics_service/app.py",
    "dashboards/grafana_model.py",
    "dashboards/station_detail.py",
    "edge_node/settings.py",
    "patchline/artifacts/store.py",
    "patchline/wire/messages.py",
}
LONG_FUNCTIONS = {
    "analytics_service/app.py run",
    "edge_node/assembly.py assemble",
}
LARGE_CONSTRUCTORS = {
    "edge_node/control/status_publisher.py",
}
LARGE_COMMANDS: set[str] = set()

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> list[tuple[str, Path]]:
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return [(str(path.relative_to(ROOT)), path) for path in paths]


def functions() -> Iterator[tuple[str, Function]]:
    for name, path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Function):
                yield name, node


def own_parameters(function: Function) -> int:
    """Options, arguments and option groups that a command declares itself; 0 for what is no command."""
    annotations = [ast.unparse(each.annotation) for each in (*function.args.args, *function.args.kwonlyargs)
                   if each.annotation]  # fmt: skip
    return len(annotations) if any("typer." in each for each in annotations) else 0


def lines_of(function: Function) -> int:
    """Without the docstring, which is the help text where the function is a command."""
    assert function.end_lineno is not None
    docstring = function.body[0] if ast.get_docstring(function) else None
    documented = docstring.end_lineno - docstring.lineno + 1 if docstring and docstring.end_lineno else 0
    return function.end_lineno - function.lineno + 1 - documented


def test_modules_are_small() -> None:
    assert {name for name, path in modules() if len(path.read_text().splitlines()) > MOST_LINES} == LONG_MODULES


def test_functions_are_small() -> None:
    long = {f"{name} {each.name}" for name, each in functions() if lines_of(each) > MOST_FUNCTION_LINES}
    assert long == LONG_FUNCTIONS


def test_constructors_take_few_collaborators() -> None:
    assert {
        name
        for name, each in functions()
        if each.name == "__init__" and len([*each.args.args, *each.args.kwonlyargs]) - 1 > MOST_COLLABORATORS
    } == LARGE_CONSTRUCTORS


def test_commands_have_few_parameters_of_their_own() -> None:
    large = {f"{name} {each.name}" for name, each in functions() if own_parameters(each) > MOST_PARAMETERS}
    assert large == LARGE_COMMANDS


def test_modules_are_named_for_what_they_hold() -> None:
    assert not {name for name, path in modules() if path.stem in FORBIDDEN_NAMES}


def test_every_dependency_has_its_reason() -> None:
    reasons = (ROOT / "docs/explanation/decisions/0001-dependencies.md").read_text().lower()
    project = PROJECT["project"]
    wanted = project["dependencies"] + [each for extra in project["optional-dependencies"].values() for each in extra]
    names = {each.split(">")[0].split("[")[0].split("=")[0].strip().lower() for each in wanted}
    missing = {name for name in names if name not in reasons and not name.startswith("types-")}
    assert not missing
