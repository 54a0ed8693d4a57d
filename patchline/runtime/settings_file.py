"""What is wrong with a settings file, as one sentence: the file, the key, and the key that was probably meant."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from patchline.wire.errors import MisconfiguredError

_WRONG_KIND = frozenset({"union_tag_invalid", "union_tag_not_found"})
"""What pydantic calls a table whose `kind` is none of those there are, or is not given."""


def explained(error: ValidationError, model: type[BaseModel], path: Path) -> MisconfiguredError:
    """The error for a file that does not fit a settings model; it names the first mistake and counts the others."""
    known = sorted(set(_keys(model)))
    # A mistyped key comes with a missing one: the typing error is the one to tell.
    first, *others = sorted(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")
    key = _key(first["loc"], known)
    if first["type"] == "extra_forbidden":
        what, remedy = f"there is no setting {key}", _nearest(key, known)
    elif first["type"] == "missing":
        what, remedy = f"the setting {key} is missing", "add it"
    elif first["type"] in _WRONG_KIND:
        kinds = str(first.get("ctx", {}).get("expected_tags", "")).replace("'", "")
        given = first.get("ctx", {}).get("tag")
        key = f"{key}.kind"
        what = f"the setting {key} is missing" if given is None else f"there is no {key} {given!r}"
        remedy = f"choose from {kinds}" if kinds else "add it"
    else:
        what, remedy = f"{key}: {first['msg'].removeprefix('Value error, ')}", "correct it"
    if others:
        remedy += f" ({len(others)} more to mend)"
    return MisconfiguredError(what, where=f"{path}: {key}", remedy=remedy)


def _nearest(key: str, known: list[str]) -> str:
    table = key.rpartition(".")[0]
    if key in known:
        return f"it belongs to another {table}.kind"
    found = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if found:
        return f"did you mean {found[0]}?"
    beside = [name for name in known if name.rpartition(".")[0] == table]
    return f"choose from {', '.join(beside or known)}"


def _key(location: tuple[int | str, ...], known: list[str]) -> str:
    """The dotted key of a place in the model; the names pydantic puts in for members of a union are left out."""
    levels: list[str] = []
    for number, level in enumerate(location):
        is_last = number == len(location) - 1
        candidate = ".".join([*levels, str(level)])
        if is_last or any(name == candidate or name.startswith(f"{candidate}.") for name in known):
            levels.append(str(level))
    return ".".join(levels)


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for table in _tables(field.annotation):
            yield from _keys(table, f"{prefix}{name}.")


def _tables(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _tables(argument)
