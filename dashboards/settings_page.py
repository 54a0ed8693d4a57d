"""`docs/reference/settings.md`, from the two classes of settings themselves."""

import enum
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from analytics_service.settings import ENVIRONMENT_PREFIX, Settings
from edge_node.settings import ENV_PREFIX, EdgeSettings

_HEAD = """\
# Settings

Made from the code by `python -m dashboards.write`; do not edit. A TOML file (`--config`), and over it the
environment: `broker.host` of an edge node is `host` in the table `[broker]`, or the variable
`PATCHLINE_EDGE_BROKER__HOST`. A key that does not exist is refused, with the nearest one that does; `--check` looks
at everything without going online. Passwords belong into the environment. **must** has no default.
"""


class _Missing(enum.Enum):
    DEFAULT = "**must**"


def rows(model: type[BaseModel], head: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Key, kind, default and meaning of every field, tables opened."""
    for name, field in model.model_fields.items():
        tables = list(_tables(field.annotation))
        meaning = (field.description or "").rstrip(".")
        if not tables:
            yield f"{head}{name}", _kind(field.annotation), _default(field), meaning
            continue
        yield f"[{head}{name}]", "table", "" if not field.is_required() else _Missing.DEFAULT.value, meaning
        seen: set[str] = set()
        for table in tables:
            choice = f" ({_only(table)})" if len(tables) > 1 else ""
            for row in rows(table, f"{head}{name}."):
                if row[0].endswith(".kind") and len(tables) > 1:
                    continue
                if row[0] not in seen:
                    own = choice if _is_own(row[0].rpartition(".")[2], tables) else ""
                    seen.add(row[0] + own)
                    yield row[0] + own, *row[1:]
        if len(tables) > 1:
            kinds = ", ".join(f"`{_only(table)}`" for table in tables)
            yield f"{head}{name}.kind", kinds, _default_kind(field), "which of them"


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    sides: tuple[tuple[str, str, type[BaseModel]], ...] = (
        (f"Edge node (`edge.toml`, `{ENV_PREFIX}…`)", "", EdgeSettings),
        (f"Analytics service (`analytics.toml`, `{ENVIRONMENT_PREFIX}…`)", "", Settings),
    )
    for title, head, model in sides:
        parts.append(f"\n## {title}\n\n| key | kind | default | meaning |\n|---|---|---|---|\n")
        parts += [
            f"| `{key}` | {kind} | {default} | {meaning} |\n" for key, kind, default, meaning in rows(model, head)
        ]
    return "".join(parts)


def _bare(annotation: Any) -> Any:
    return _bare(get_args(annotation)[0]) if get_origin(annotation) is Annotated else annotation


def _members(annotation: Any) -> list[Any]:
    bare = _bare(annotation)
    if get_origin(bare) in {Union, types.UnionType}:
        return [_bare(each) for each in get_args(bare) if each is not type(None)]
    return [bare]


def _tables(annotation: Any) -> Iterator[type[BaseModel]]:
    for each in _members(annotation):
        if isinstance(each, type) and issubclass(each, BaseModel):
            yield each


def _only(table: type[BaseModel]) -> str:
    return str(get_args(table.model_fields["kind"].annotation)[0])


def _is_own(name: str, tables: list[type[BaseModel]]) -> bool:
    return not all(name in table.model_fields for table in tables)


def _default_kind(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    return f"`{value.kind}`" if hasattr(value, "kind") else _Missing.DEFAULT.value


def _kind(annotation: Any) -> str:
    (kind, *others) = _members(annotation)
    names = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "true or false",
        Path: "path",
        SecretStr: "secret",
    }
    if get_origin(kind) is Literal:
        return ", ".join(f"`{each}`" for each in get_args(kind))
    if get_origin(kind) is tuple:
        return "list of two"
    assert not others, annotation
    return names[kind]


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if field.is_required() or value is PydanticUndefined:
        return _Missing.DEFAULT.value
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value) if isinstance(value, tuple) else value}`"
