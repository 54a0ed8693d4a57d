"""Pictures of a folder: all that are there, or those that another program goes on writing into it."""

from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

from edge_node.capture.sources.protocol import Shot
from edge_node.capture.sources.triggers import Triggers
from patchline.pictures.files import SUFFIXES, open_picture
from patchline.wire.errors import MisconfiguredError


class FolderSource:
    """The pictures directly in a folder, by name, one a trigger; a part is called after its file.

    Args:
        directory: The folder.
        triggers: When to take the next picture; an id told by a trigger goes before the file's name.
        watch: Wait for more pictures once all are taken, until the triggers stop. A trigger without a new picture is
            no part, and a file counts as new once its size stands still from one trigger to the next.

    Raises:
        MisconfiguredError: The folder does not exist, or holds no picture and is not watched.
    """

    def __init__(self, directory: Path, triggers: Triggers, *, watch: bool = False) -> None:
        if not directory.is_dir():
            raise MisconfiguredError(
                f"{directory} is not a folder", where="source.directory", remedy="name a folder of pictures"
            )
        self._directory, self._triggers, self._watch = directory, triggers, watch
        if not watch and not self._pictures():
            raise MisconfiguredError(
                f"{directory} holds no picture",
                where="source.directory",
                remedy=f"put pictures directly into it ({' '.join(sorted(SUFFIXES))}), or set watch",
            )

    def frames(self) -> Iterator[Shot]:
        """One shot a picture."""
        if not self._watch:
            for path, part_id in zip(self._pictures(), self._triggers, strict=False):
                yield Shot(part_id or path.stem, partial(open_picture, path))
            return
        for part_id, arrived in zip(self._triggers, self._arriving(), strict=False):
            if arrived is not None:
                yield Shot(part_id or arrived.stem, partial(open_picture, arrived))

    def _pictures(self) -> list[Path]:
        return sorted(path for path in self._directory.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())

    def _arriving(self) -> Iterator[Path | None]:
        taken: set[Path] = set()
        sizes: dict[Path, int] = {}
        for _ in count():
            present = self._pictures()
            taken &= set(present)
            before, sizes = sizes, {path: path.stat().st_size for path in present if path not in taken}
            path = next((path for path in sizes if before.get(path) == sizes[path]), None)
            if path is not None:
                taken.add(path)
            yield path
