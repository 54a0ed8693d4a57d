"""Pictures of a folder: all that are there, or those that another program goes on writing into it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Literal
from uuid import uuid4

from pydantic import Field

from edge_node.capture.sources.file_matching import FileMatching
from edge_node.capture.sources.folder_watch import YOUNG_SECONDS, FolderWatch, open_when_whole
from edge_node.capture.sources.protocol import Arrival, Pixels, Shot, Source, SourceContext, SourceSettings
from edge_node.capture.sources.taken_files import SeenFile, TakenFiles
from edge_node.capture.trigger_message import printable
from edge_node.outbox.rows import Trigger
from patchline.pictures.files import SUFFIXES, list_pictures, open_picture
from patchline.wire.errors import MisconfiguredError, UnavailableError

_log = logging.getLogger(__name__)

_MOVED = ".taken"


class FolderSettings(SourceSettings):
    """Pictures of a folder."""

    kind: Literal["folder"] = Field(description="which source")
    directory: Path = Field(description="the folder; a part is called after its file unless a trigger names it")
    watch: bool = Field(
        False, description="take new pictures as they come; each is a part, or belongs to a trigger where there are any"
    )
    recursive: bool = Field(False, description="whether pictures in its folders count")
    only_new: bool = Field(False, description="with watch: leave out the pictures that are there at the start")
    settle_seconds: Annotated[float, Field(ge=0)] = Field(
        0.3, description="with watch: a picture is whole when its size and time have not changed for so long"
    )
    after: Literal["keep", "move", "delete"] = Field(
        "keep", description="what is done with a picture once its frame is kept; move puts it into the folder .taken"
    )


class FolderSource(Source):
    """The pictures of a folder by name, one a trigger; or, watched, each as it arrives.

    Watched without trigger messages, the arrival of a picture is the trigger, and its time is the file's. Watched with
    trigger messages, each trigger waits for its own file.

    Raises:
        MisconfiguredError: The folder does not exist, or holds no picture and is not watched.
    """

    Settings = FolderSettings

    def __init__(self, settings: FolderSettings, context: SourceContext) -> None:
        super().__init__(settings, context)
        if not settings.directory.is_dir():
            raise MisconfiguredError(
                f"{settings.directory} is not a folder", where="source.directory", remedy="name a folder of pictures"
            )
        self._settings = settings
        self._pictures = deque(() if settings.watch else self._all())
        self._changed = threading.Condition()
        self._matching = FileMatching(context.max_age_seconds)
        self._taken: TakenFiles | None = None

    def at(self, trigger: Trigger) -> Shot | None:
        """The next picture; or, of a watched folder, the picture that will come for this trigger."""
        if self._settings.watch:
            with self._changed:
                self._matching.add(trigger)
            return Shot(
                trigger.part_id,
                partial(self._await_file, trigger),
                wait_seconds=self.context.max_age_seconds + YOUNG_SECONDS,
                on_kept=partial(self._put_away_file_of, trigger),
            )
        if self.ended():
            return None
        path = self._pictures.popleft()
        return Shot(
            trigger.part_id or self._name(path), partial(open_picture, path), on_kept=partial(self._put_away, path)
        )

    def ended(self) -> bool:
        """Whether every picture was taken, where no more are waited for."""
        return not self._settings.watch and not self._pictures

    def arrivals(self) -> Iterator[Arrival] | None:
        """The pictures as they arrive, newest first; None where something else is the trigger."""
        return self._arriving() if self._settings.watch and not self.context.told else None

    def start(self) -> None:
        """Look for files from now on, where they belong to triggers."""
        if self._settings.watch and self.context.told:
            threading.Thread(target=self._match, name="folder", daemon=True).start()

    def stop(self) -> None:
        """End all waiting."""
        if self._taken is not None:
            self._taken.close()

    def _arriving(self) -> Iterator[Arrival]:
        watch = self._watch()
        if self._settings.only_new:
            watch.take_all()
        while not self.context.stop.is_set():
            ready = watch.ready()
            if ready:
                yield self._arrival(ready[0], watch)
            else:
                self.context.stop.wait(watch.pause_seconds)

    def _arrival(self, file: SeenFile, watch: FolderWatch) -> Arrival:
        age = max(0.0, time.time() - file.written_at)
        trigger = Trigger(
            inspection_id=str(uuid4()),
            part_id=self._name(file.path),
            captured_at=time.time() - age,
            captured_monotonic=time.monotonic() - age,
        )
        shot = Shot(
            trigger.part_id,
            partial(open_when_whole, file, self.context.stop),
            wait_seconds=YOUNG_SECONDS,
            on_kept=partial(self._put_away, file.path),
        )
        return Arrival(trigger, shot, on_reserved=partial(watch.take, file))

    def _match(self) -> None:
        watch = self._watch()
        watch.take_all()
        while not self.context.stop.wait(watch.pause_seconds):
            ready = sorted(watch.ready(), key=lambda file: file.mtime_ns)
            with self._changed:
                outcomes = [(file, self._matching.offer(file, time.time())) for file in ready]
                self._changed.notify_all()
            for file, outcome in outcomes:
                if outcome == "stray":
                    self.context.on_stray(file.key)
            watch.take(*(file for file, outcome in outcomes if outcome != "waiting"))

    def _await_file(self, trigger: Trigger) -> Pixels:
        until = trigger.captured_monotonic + self.context.max_age_seconds
        with self._changed:
            while (file := self._matching.file_of(trigger)) is None:
                left = until - time.monotonic()
                if left <= 0 or self.context.stop.is_set():
                    self._matching.give_up(trigger)
                    raise UnavailableError(f"no picture came within {self.context.max_age_seconds:g} s of its trigger")
                self._changed.wait(min(left, 0.2))
        return open_when_whole(file, self.context.stop)

    def _watch(self) -> FolderWatch:
        if self._taken is None:
            self._taken = TakenFiles(self.context.memory)
        return FolderWatch(
            self._settings.directory,
            recursive=self._settings.recursive,
            settle_seconds=self._settings.settle_seconds,
            taken=self._taken,
        )

    def _all(self) -> list[Path]:
        directory = self._settings.directory
        try:
            found = list_pictures(directory, recursive=self._settings.recursive)
        except UnavailableError as error:
            raise MisconfiguredError(str(error), where="source.directory", remedy="check its permissions") from error
        if not found:
            raise MisconfiguredError(
                f"{directory} holds no picture",
                where="source.directory",
                remedy=f"put pictures directly into it ({' '.join(sorted(SUFFIXES))}), or set watch or recursive",
            )
        return found

    def _name(self, path: Path) -> str:
        return printable(path.relative_to(self._settings.directory).with_suffix("").as_posix())

    def _put_away_file_of(self, trigger: Trigger) -> None:
        with self._changed:
            file = self._matching.file_of(trigger)
        if file is not None:
            self._put_away(file.path)

    def _put_away(self, path: Path) -> None:
        """Do with a picture what is to be done after its frame is kept."""
        try:
            match self._settings.after:
                case "move":
                    aside = self._settings.directory / _MOVED / path.relative_to(self._settings.directory)
                    aside.parent.mkdir(parents=True, exist_ok=True)
                    path.replace(aside)
                case "delete":
                    path.unlink(missing_ok=True)
                case "keep":
                    pass
        except OSError as error:
            _log.warning("picture %s stays where it is: %s", printable(str(path)), error.strerror)
