"""Reads the text of options that several commands have."""

from collections.abc import Sequence

from patchline.wire.errors import MisconfiguredError


def parameters_of(given: list[str]) -> dict[str, str]:
    """Read `NAME=VALUE` several times.

    Raises:
        MisconfiguredError: One of them has no `=`.
    """
    parameters = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise MisconfiguredError(f"{each!r} is not a parameter", where="--parameter", remedy="write NAME=VALUE")
        parameters[name] = value
    return parameters


def names_of(given: list[str] | None) -> tuple[str, ...]:
    """Names given one by one, or several at once with commas between them."""
    return tuple(name.strip() for each in given or () for name in each.split(",") if name.strip())


def size_of(text: str, option: str = "--input-size") -> tuple[int, int]:
    """Read `HEIGHTxWIDTH`, given by an option.

    Raises:
        MisconfiguredError: It is not that.
    """
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise MisconfiguredError(f"{text!r} is not a size", where=option, remedy="write HEIGHTxWIDTH")
    return int(height), int(width)


def one_of(known: Sequence[str], given: str, option: str) -> str:
    """Check that a word is one of those known.

    Raises:
        MisconfiguredError: It is not.
    """
    if given not in known:
        raise MisconfiguredError(f"{given!r} is no choice", where=option, remedy=f"use {', '.join(known)}")
    return given
