"""A watched folder: each picture belongs to its own part, once, when it is whole; no file ends a station."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_node.capture.sources.file_matching import FileMatching, holds
from edge_node.capture.sources.folder import FolderSource
from edge_node.capture.sources.folder_watch import FolderWatch, open_when_whole
from edge_node.capture.sources.protocol import Arrival, Shot, SourceContext
from edge_node.capture.sources.taken_files import SeenFile, TakenFiles
from edge_node.capture.takt import trigger_now
from edge_node.outbox.rows import Trigger
from patchline.pictures.files import list_pictures, read_category
from patchline.wire.errors import MisconfiguredError, UnavailableError, UnreadableError


def picture(path: Path, grey: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), grey, dtype=np.uint8)).save(path)
    return path


def grey_of(shot: Shot | None) -> int:
    assert shot is not None
    return int(shot.open()[0, 0, 0])


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def strays() -> list[str]:
    return []


@pytest.fixture
def open_folder(tmp_path: Path, stop: threading.Event, strays: list[str]) -> Callable[..., FolderSource]:
    """Opens the folder `cam`; again, to play a restart."""
    (tmp_path / "cam").mkdir()

    def make(*, told: bool = False, max_age_seconds: float = 30.0, **settings: Any) -> FolderSource:
        table = {"kind": "folder", "directory": tmp_path / "cam", "watch": True, "settle_seconds": 0.05, **settings}
        context = SourceContext(
            told=told,
            max_age_seconds=max_age_seconds,
            memory=tmp_path / "memory.sqlite",
            stop=stop,
            on_stray=lambda name: strays.append(Path(name).name),
        )
        return FolderSource(FolderSource.Settings(**table), context)

    return make


def arrivals_of(source: FolderSource) -> Iterator[Arrival]:
    """The arrivals, each noted as the intake notes it."""
    arrivals = source.arrivals()
    assert arrivals is not None
    for arrival in arrivals:
        arrival.on_reserved()
        yield arrival


def watch_of(folder: Path, tmp_path: Path, *, settle_seconds: float = 0.0) -> FolderWatch:
    return FolderWatch(
        folder, recursive=False, settle_seconds=settle_seconds, taken=TakenFiles(tmp_path / "memory.sqlite")
    )


class TestTriggersThatWaitForTheirFiles:
    def test_each_trigger_gets_its_own_file_and_no_other(self, open_folder: Any, tmp_path: Path) -> None:
        source = open_folder(told=True)
        source.start()
        time.sleep(0.1)
        for number, part_id in enumerate("ABCD"):
            shot = source.at(trigger_now(part_id))
            time.sleep(0.02)
            picture(tmp_path / "cam" / f"{number}.png", grey=10 + number)
            assert grey_of(shot) == 10 + number

    def test_a_file_belongs_to_the_part_whose_id_its_name_holds_in_any_order(
        self, open_folder: Any, tmp_path: Path
    ) -> None:
        source = open_folder(told=True)
        source.start()
        time.sleep(0.1)
        shots = {part_id: source.at(trigger_now(part_id)) for part_id in ("A-1", "A-10", "A-2")}
        for grey, part_id in enumerate(("A-2", "A-10", "A-1")):
            picture(tmp_path / "cam" / f"cam1_{part_id}.png", grey=grey)
        assert {part_id: grey_of(shot) for part_id, shot in shots.items()} == {"A-2": 0, "A-10": 1, "A-1": 2}

    def test_a_trigger_without_a_file_gets_none_of_the_next_part(
        self, open_folder: Any, tmp_path: Path, strays: list[str], eventually: Any
    ) -> None:
        source = open_folder(told=True, max_age_seconds=1.5)
        source.start()
        time.sleep(0.1)
        first = source.at(trigger_now("A"))
        time.sleep(0.05)
        second = source.at(trigger_now("B"))
        time.sleep(0.05)
        picture(tmp_path / "cam" / "0.png", grey=7)
        assert grey_of(second) == 7
        with pytest.raises(UnavailableError, match="no picture came within"):
            first.open()
        picture(tmp_path / "cam" / "1.png")
        eventually(lambda: strays == ["1.png"])

    def test_a_file_that_was_there_before_belongs_to_nobody(self, open_folder: Any, tmp_path: Path) -> None:
        picture(tmp_path / "cam" / "A.png")
        source = open_folder(told=True, max_age_seconds=0.4)
        source.start()
        time.sleep(0.1)
        with pytest.raises(UnavailableError, match="no picture came"):
            source.at(trigger_now("A")).open()


def at(seconds: float, part_id: str = "") -> Trigger:
    return Trigger(inspection_id=f"id-{seconds}", part_id=part_id, captured_at=seconds, captured_monotonic=seconds)


def file(name: str, written_at: float) -> SeenFile:
    return SeenFile(Path(name), 1, int(written_at * 1e9))


@pytest.mark.parametrize(
    ("name", "written_at", "outcome", "owner"),
    [
        ("0.png", 100.5, "matched", 100.0),
        ("0.png", 102.5, "matched", 102.0),
        ("0.png", 102.0, "matched", 102.0),
        ("A-2.png", 100.5, "matched", 102.0),
        ("cam_A-1_x.png", 103.0, "matched", 100.0),
        ("A-3.png", 102.5, "waiting", None),
        ("0.png", 99.0, "waiting", None),
        ("0.png", 90.0, "stray", None),
    ],
)
def test_a_file_belongs_to_the_named_trigger_else_to_the_last_one_before_it(
    name: str, written_at: float, outcome: str, owner: float | None
) -> None:
    matching = FileMatching(max_age_seconds=5.0)
    triggers = {seconds: at(seconds, part_id) for seconds, part_id in ((100.0, "A-1"), (102.0, "A-2"))}
    for trigger in triggers.values():
        matching.add(trigger)
    assert matching.offer(file(name, written_at), now=103.0) == outcome
    owners = [seconds for seconds, trigger in triggers.items() if matching.file_of(trigger) is not None]
    assert owners == ([] if owner is None else [owner])


def test_a_second_file_for_one_trigger_is_a_stray() -> None:
    matching = FileMatching(max_age_seconds=5.0)
    matching.add(at(100.0, "A"))
    assert [matching.offer(file(f"{n}.png", 100.5 + n), now=102.0) for n in range(2)] == ["matched", "stray"]


@pytest.mark.parametrize(
    ("stem", "part_id", "expected"),
    [
        ("A-1", "A-1", True),
        ("x_A-1.cam", "A-1", True),
        ("A-10", "A-1", False),
        ("BA-1", "A-1", False),
        ("a", "A", False),
    ],
)
def test_a_name_holds_an_id_as_a_word(stem: str, part_id: str, expected: bool) -> None:
    assert holds(stem, part_id) is expected


class TestPicturesThatAreTriggers:
    def test_the_newest_comes_first_and_its_time_is_the_files(self, open_folder: Any, tmp_path: Path) -> None:
        for number in range(3):
            path = picture(tmp_path / "cam" / f"{number}.png")
            os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
        arrivals = arrivals_of(open_folder())
        found = [next(arrivals).trigger for _ in range(3)]
        assert [trigger.part_id for trigger in found] == ["2", "1", "0"]
        assert found[0].captured_at == pytest.approx(1_700_000_002)

    def test_a_restart_takes_no_picture_again(self, open_folder: Any, tmp_path: Path) -> None:
        picture(tmp_path / "cam" / "old.png")
        first = open_folder()
        assert next(arrivals_of(first)).trigger.part_id == "old"
        first.stop()
        picture(tmp_path / "cam" / "new.png")
        assert next(arrivals_of(open_folder())).trigger.part_id == "new"

    def test_a_file_that_is_overwritten_is_another_picture(self, open_folder: Any, tmp_path: Path) -> None:
        arrivals = arrivals_of(open_folder())
        for grey in (1, 2, 3):
            path = picture(tmp_path / "cam" / "latest.png", grey)
            os.utime(path, (1_700_000_000 + grey, 1_700_000_000 + grey))
            assert grey_of(next(arrivals).shot) == grey

    def test_only_new_leaves_out_what_is_there(self, open_folder: Any, tmp_path: Path) -> None:
        picture(tmp_path / "cam" / "old.png")
        arrivals = arrivals_of(open_folder(only_new=True))
        threading.Timer(0.3, picture, (tmp_path / "cam" / "new.png",)).start()
        assert next(arrivals).trigger.part_id == "new"

    def test_folders_count_where_asked_for(self, open_folder: Any, tmp_path: Path) -> None:
        picture(tmp_path / "cam" / "shift 1" / "a.png")
        assert next(arrivals_of(open_folder(recursive=True))).trigger.part_id == "shift 1/a"

    @pytest.mark.parametrize(("after", "left"), [("keep", ["a.png"]), ("move", []), ("delete", [])])
    def test_after_its_frame_is_kept_a_picture_is_put_away(
        self, open_folder: Any, tmp_path: Path, after: str, left: list[str]
    ) -> None:
        picture(tmp_path / "cam" / "a.png")
        arrival = next(arrivals_of(open_folder(after=after)))
        assert arrival.shot is not None
        assert (tmp_path / "cam" / "a.png").exists()
        arrival.shot.on_kept()
        assert [path.name for path in list_pictures(tmp_path / "cam")] == left
        assert (tmp_path / "cam" / ".taken" / "a.png").exists() is (after == "move")

    def test_a_name_that_is_not_utf_8_is_escaped(self, open_folder: Any, tmp_path: Path) -> None:
        whole = picture(tmp_path / "a.png").read_bytes()
        (tmp_path / "cam" / os.fsdecode(b"\xff\xe4.png")).write_bytes(whole)
        arrival = next(arrivals_of(open_folder()))
        assert arrival.trigger.part_id == "\\udcff\\udce4"
        assert grey_of(arrival.shot) == 100


class TestFilesThatAreBeingWritten:
    def test_a_file_is_whole_when_neither_size_nor_time_changes(self, tmp_path: Path) -> None:
        path, watch = picture(tmp_path / "cam" / "a.bmp"), watch_of(tmp_path / "cam", tmp_path, settle_seconds=0.2)
        for step in range(4):
            assert watch.ready() == []
            os.utime(path, (1_700_000_000 + step, 1_700_000_000 + step))
            time.sleep(0.06)
        watch.ready()
        time.sleep(0.25)
        assert [each.path for each in watch.ready()] == [path]

    @pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
    def test_a_picture_that_is_damaged_while_it_is_young_is_looked_at_again(
        self, tmp_path: Path, stop: threading.Event, suffix: str
    ) -> None:
        whole = picture(tmp_path / f"whole.{suffix}", 55).read_bytes()
        path = tmp_path / f"growing.{suffix}"
        path.write_bytes(whole[:20])
        seen = watch_of(tmp_path, tmp_path)
        (growing,) = [each for each in (seen.ready(), seen.ready())[1] if each.path == path]
        threading.Timer(0.3, path.write_bytes, (whole,)).start()
        assert open_when_whole(growing, stop)[0, 0, 0] == 55

    def test_one_that_stays_damaged_is_unreadable(self, tmp_path: Path, stop: threading.Event) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(b"no picture")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        with pytest.raises(UnreadableError, match="not a picture"):
            open_when_whole(SeenFile(path, 10, 1_700_000_000 * 10**9), stop)


class TestFoldersThatMisbehave:
    def test_a_folder_that_is_away_for_a_while_is_waited_for_and_told_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder = tmp_path / "cam"
        picture(folder / "a.png")
        watch = watch_of(folder, tmp_path)
        folder.rename(tmp_path / "away")
        assert [watch.ready() for _ in range(3)] == [[], [], []]
        assert caplog.text.count("waiting for the folder") == 1
        (tmp_path / "away").rename(folder)
        assert len(watch.ready()) == 1

    def test_a_file_that_vanishes_after_listing_is_not_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone, here = tmp_path / "cam" / "gone.png", picture(tmp_path / "cam" / "here.png")
        monkeypatch.setattr("edge_node.capture.sources.folder_watch.list_pictures", lambda *_, **__: [gone, here])
        assert [each.path for each in watch_of(tmp_path / "cam", tmp_path).ready()] == [here]

    def test_hidden_files_are_pictures_neither_here_nor_at_commissioning(self, tmp_path: Path) -> None:
        for name in ("a.png", "._a.png", ".hidden.png"):
            picture(tmp_path / "good" / name)
        assert [path.name for path in list_pictures(tmp_path / "good")] == ["a.png"]
        assert [sample.path.name for sample in read_category(tmp_path).train] == ["a.png"]

    def test_a_memory_that_cannot_be_written_is_told_and_holds_until_the_restart(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "memory.sqlite").write_bytes(b"no database " * 100)
        taken, seen = TakenFiles(tmp_path / "memory.sqlite"), file("a.png", 1.0)
        taken.add(seen)
        assert seen in taken
        assert "not remembered over a restart" in caplog.text

    def test_the_memory_has_a_budget(self, tmp_path: Path) -> None:
        taken = TakenFiles(tmp_path / "memory.sqlite", most=3)
        for number in range(10):
            taken.add(file(f"{number}.png", number))
        assert len(taken) == 3
        taken.close()
        assert len(TakenFiles(tmp_path / "memory.sqlite", most=3)) == 3


def test_an_empty_folder_is_an_error_unless_it_is_watched(open_folder: Any, tmp_path: Path) -> None:
    (tmp_path / "cam" / "notes.txt").write_text("no picture")
    with pytest.raises(MisconfiguredError, match="holds no picture"):
        open_folder(watch=False)
    open_folder()
