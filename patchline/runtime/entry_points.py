"""Classes that other distributions add to a registry by entry points.

A distribution names them in its `pyproject.toml`, for instance:

    [project.entry-points."patchline.codecs"]
    zlib = "plugin_codec:ZlibCodec"
"""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from patchline.wire.errors import MisconfiguredError


def names_in(group: str) -> tuple[str, ...]:
    """The names that other distributions have added to a group, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


@cache
def class_in(group: str, name: str) -> Any:
    """The class that another distribution has added to a group under a name; None where there is none.

    Raises:
        MisconfiguredError: Two distributions add this name, or the class cannot be imported.
    """
    points = list(entry_points(group=group, name=name))
    if len(points) > 1:
        raise MisconfiguredError(
            f"several distributions add {name!r} to {group}: {', '.join(map(_origin, points))}",
            where=f"entry points {group}",
            remedy="uninstall all but one",
        )
    if not points:
        return None
    try:
        return points[0].load()
    # A foreign module may fail in any way when it is imported; it means one thing to the caller.
    except Exception as error:
        raise MisconfiguredError(
            f"{name!r} of {group} cannot be imported from {_origin(points[0])}: {error}",
            where=f"entry points {group}",
            remedy="update or uninstall this distribution",
        ) from error


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value
