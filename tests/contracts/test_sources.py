"""What every registered source promises."""

import importlib.util
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_node.capture.sources import SOURCES
from edge_node.capture.sources.conveyor import number_in, picture_of
from edge_node.capture.sources.protocol import Shot, Source, SourceContext
from edge_node.capture.takt import trigger_now
from patchline.wire.errors import UnavailableError, UnreadableError

Make = Callable[[], Source]


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


def source_of(kind: str, context: SourceContext | None = None, **told: Any) -> Source:
    source = SOURCES[kind]
    return source(source.Settings(kind=kind, **told), context or SourceContext())


def shot_of(source: Source, part_id: str | None = None) -> Shot:
    shot = source.at(trigger_now(part_id))
    assert shot is not None
    return shot


@pytest.fixture(params=sorted(SOURCES))
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes the source of a kind over five parts."""
    told: dict[str, Any] = {}
    match request.param:
        case "folder":
            told["directory"] = _pictures(tmp_path / "pictures")
        case "replay":
            _pictures(tmp_path / "pictures")
            plan = [{"path": f"pictures/part-{number}.png", "part_id": f"p{number}"} for number in range(5)]
            (tmp_path / "plan.jsonl").write_text("\n".join(map(json.dumps, plan)))
            told["plan"] = tmp_path / "plan.jsonl"
        case "synthetic":
            told |= {"product": "washer", "size": (32, 40), "parts": 5, "defect_share": 0.5}
        case "camera":
            told["device"] = str(_film(tmp_path))
        case "conveyor":
            told |= {"size": (32, 40), "part_seconds": 1e-6, "parts": 5, "started_at": 0.0}
        case unknown:
            pytest.fail(f"say here how to make a source of kind {unknown}")
    return lambda: source_of(request.param, **told)


def test_shots_are_pictures_and_come_again_the_same(make: Make) -> None:
    def play() -> list[tuple[str | None, bytes]]:
        source = make()
        found = []
        for _ in range(5):
            shot = shot_of(source)
            pixels = shot.open()
            assert (pixels.shape, pixels.dtype) == ((32, 40, 3), np.dtype(np.uint8))
            assert pixels.flags.c_contiguous
            found.append((shot.part_id, pixels.tobytes()))
        return found

    first = play()
    assert len({pixels for _, pixels in first}) == 5
    if type(make()).__name__ != "ConveyorSource":
        assert play() == first


def test_a_source_ends_after_its_last_part_unless_it_is_a_camera(make: Make) -> None:
    source = make()
    for _ in range(5):
        assert not source.ended()
        shot_of(source)
    is_camera = type(source).__name__ == "CameraSource"
    assert source.ended() is not is_camera
    assert (source.at(trigger_now()) is None) is not is_camera


def test_a_told_part_keeps_its_id(make: Make) -> None:
    source = make()
    planned = type(source).__name__ == "ReplaySource"
    assert shot_of(source, "A-1").part_id == ("p0" if planned else "A-1")


def test_every_source_can_be_checked_and_started_and_stopped(make: Make) -> None:
    source = make()
    source.check()
    source.start()
    assert source.problem() == ""
    source.stop()


def test_a_damaged_picture_is_unreadable_and_a_missing_one_too(tmp_path: Path) -> None:
    folder = _pictures(tmp_path / "pictures")
    (folder / "part-0.png").write_bytes(b"not a picture")
    source = source_of("folder", directory=folder)
    shots = [shot_of(source) for _ in range(3)]
    (folder / "part-1.png").unlink()
    for shot in shots[:2]:
        with pytest.raises((UnreadableError, UnavailableError)):
            shot.open()
    assert shots[2].open().shape == (32, 40, 3)


@pytest.mark.skipif(importlib.util.find_spec("cv2") is None, reason="OpenCV is not installed (extra camera)")
def test_a_film_gives_rgb_and_starts_again_at_its_end(tmp_path: Path) -> None:
    source = source_of("camera", device=str(_film(tmp_path)))
    pictures = [shot_of(source).open() for _ in range(6)]
    red, green, _ = pictures[0].reshape(-1, 3).mean(axis=0)
    assert red > 150
    assert green < 50
    assert np.array_equal(pictures[5], pictures[0])


@pytest.mark.parametrize("codec", [("PNG", {}), ("WEBP", {"quality": 80}), ("JPEG", {"quality": 60})])
@pytest.mark.parametrize("number", [0, 1, 77, 4095, 65535])
def test_the_number_of_a_part_on_the_conveyor_survives_lossy_codecs(number: int, codec: Any) -> None:
    file = BytesIO()
    Image.fromarray(picture_of(number)).save(file, codec[0], **codec[1])
    assert number_in(np.asarray(Image.open(file).convert("RGB").resize((64, 64)))) == number


def test_a_picture_without_a_number_is_told() -> None:
    with pytest.raises(UnreadableError, match="no part number"):
        number_in(np.full((40, 40, 3), 255, dtype=np.uint8))
