"""What every registered source promises."""

import importlib.util
import json
import threading
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_node.capture.sources import SOURCES
from edge_node.capture.sources.protocol import Source
from edge_node.capture.sources.triggers import MessageTriggers, Takt, Triggers
from patchline.wire.errors import UnavailableError, UnreadableError

Make = Callable[[Triggers], Source]


def _pictures(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(3)
    for number in range(5):
        pixels = rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"part-{number}.png")
    return folder


def _film(folder: Path) -> Path:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed (extra camera)")
    path = folder / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (40, 32))
    for number in range(5):
        picture = np.zeros((32, 40, 3), dtype=np.uint8)
        picture[..., 2] = 200 - 20 * number  # red, in OpenCV's order
        writer.write(picture)
    writer.release()
    return path


@pytest.fixture(params=sorted(SOURCES))
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes the source of a kind over five parts."""
    arguments: dict[str, Any] = {}
    match request.param:
        case "folder":
            arguments["directory"] = _pictures(tmp_path / "pictures")
        case "replay":
            _pictures(tmp_path / "pictures")
            plan = [{"path": f"pictures/part-{number}.png", "part_id": f"p{number}"} for number in range(5)]
            (tmp_path / "plan.jsonl").write_text("\n".join(map(json.dumps, plan)))
            arguments["plan"] = tmp_path / "plan.jsonl"
        case "synthetic":
            arguments |= {"product": "washer", "size": (32, 40), "parts": 5, "defect_share": 0.5}
        case "camera":
            arguments["device"] = str(_film(tmp_path))
        case unknown:
            pytest.fail(f"say here how to make a source of kind {unknown}")
    kind = request.param
    return lambda triggers: SOURCES[kind](triggers=triggers, **arguments)


def test_shots_are_pictures_and_come_again_the_same(make: Make) -> None:
    def play() -> list[tuple[str | None, bytes]]:
        shots = islice(make(Takt(0.0, threading.Event())).frames(), 5)
        found = []
        for shot in shots:
            pixels = shot.open()
            assert (pixels.shape, pixels.dtype) == ((32, 40, 3), np.dtype(np.uint8))
            assert pixels.flags.c_contiguous
            found.append((shot.part_id, pixels.tobytes()))
        return found

    first = play()
    assert len(first) == 5
    assert len({pixels for _, pixels in first}) == 5
    assert play() == first


def test_nothing_is_exposed_before_it_is_opened_and_stopping_ends_it(make: Make) -> None:
    stop = threading.Event()
    shots = make(Takt(0.0, stop)).frames()
    next(shots)
    stop.set()
    assert list(shots) == []


def test_a_told_part_keeps_its_id(make: Make) -> None:
    stop = threading.Event()
    triggers = MessageTriggers(stop)
    triggers.offer("A-1")
    shot = next(make(triggers).frames())
    planned = type(make(triggers)).__name__ == "ReplaySource"
    assert shot.part_id == ("p0" if planned else "A-1")


def test_a_damaged_picture_is_unreadable_and_a_missing_one_too(tmp_path: Path) -> None:
    folder = _pictures(tmp_path / "pictures")
    (folder / "part-0.png").write_bytes(b"not a picture")
    shots = list(SOURCES["folder"](directory=folder, triggers=Takt(0.0, threading.Event())).frames())
    (folder / "part-1.png").unlink()
    for shot in shots[:2]:
        with pytest.raises((UnreadableError, UnavailableError)):
            shot.open()
    assert shots[2].open().shape == (32, 40, 3)


@pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="OpenCV is not installed (extra camera)")
def test_a_camera_gives_rgb_and_is_unavailable_when_it_is_unplugged(tmp_path: Path) -> None:
    film = _film(tmp_path)
    shots = SOURCES["camera"](device=str(film), triggers=Takt(0.0, threading.Event())).frames()
    red, green, _ = next(shots).open().reshape(-1, 3).mean(axis=0)
    assert red > 150
    assert green < 50
    nothing = SOURCES["camera"](device=str(tmp_path / "none.avi"), triggers=Takt(0.0, threading.Event())).frames()
    with pytest.raises(UnavailableError, match="gives no picture"):
        next(nothing).open()
