"""Commissioning: what is written, what is refused, and that the result judges rightly."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from analytics_service.models.store_watcher import remove_older
from patchline.artifacts.artifact import load, look_at_folder
from patchline.artifacts.engines import EngineCache
from patchline.artifacts.store import OLDER_FOLDER, open_store
from patchline.commissioning.commission import Request, commission
from patchline.commissioning.commissioned import Commissioned
from patchline.pictures.products import PRODUCTS
from patchline.pictures.products.plant import plant as plant_defect
from patchline.vision.codecs.lookup import codec_of
from patchline.vision.detectors import DETECTORS
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.messages import Profile, check_profile, pack, unpack


def quietly(request: Request) -> Commissioned:
    return commission(request, on_progress=lambda *_: None)


def test_writes_an_artifact_a_codec_and_the_profile_beside_them(plant: Any) -> None:
    folder = plant.artifacts / "plant" / "line1" / "cam1"
    assert sorted(path.name for path in folder.iterdir()) == [
        "png.safetensors",
        "profile.msgpack",
        "webp-80.safetensors",
    ]
    assert plant.made.paths == [folder / "webp-80.safetensors", folder / "png.safetensors", folder / "profile.msgpack"]


def test_the_profile_is_a_ladder_in_the_order_asked_for(plant: Any) -> None:
    profile: Profile = unpack(plant.made.profile_path.read_bytes(), Profile)
    check_profile(profile)
    assert [profile_codec.codec for profile_codec in profile.ladder] == ["webp:80", "png"]
    assert [profile_codec.artifact for profile_codec in profile.ladder] == [
        load(profile_codec.path).fingerprint for profile_codec in plant.made.commissioned_codecs
    ]


def test_the_header_says_how_the_artifact_came_to_be(plant: Any) -> None:
    header = load(plant.made.commissioned_codecs[0].path).header
    assert (header.station, header.codec, header.input_size) == ("plant/line1/cam1", "webp:80", (64, 64))
    assert header.backbone == plant.made.commissioned_codecs[0].backbone
    assert header.parameters["coreset_ratio"] == 0.2
    assert header.calibration.images == header.normal_scores.images == 16
    assert {"patchline", "numpy", "python"} <= set(header.versions)


def test_normal_scores_come_from_detectors_that_never_saw_the_picture(plant: Any) -> None:
    """A detector that keeps every patch scores its own pictures 0; held out, none of them does."""
    assert plant.made.commissioned_codecs[0].artifact.header.normal_scores.lowest > 0


def test_the_same_seed_gives_the_same_tensors(plant: Any, request_for: Callable[..., Request], tmp_path: Path) -> None:
    again = quietly(request_for(tmp_path, codecs=("png",)))
    before = next(profile_codec for profile_codec in plant.made.commissioned_codecs if profile_codec.codec == "png")
    for name, tensor in again.commissioned_codecs[0].artifact.detector.tensors().items():
        np.testing.assert_array_equal(tensor, before.artifact.detector.tensors()[name])
    assert again.commissioned_codecs[0].artifact.calibration == before.artifact.calibration


def test_a_replaced_artifact_is_kept_for_the_parts_that_still_name_it(
    request_for: Callable[..., Request], tmp_path: Path
) -> None:
    first = quietly(request_for(tmp_path, codecs=("png",)))
    second = quietly(request_for(tmp_path, codecs=("png",), seed=7))
    old = first.commissioned_codecs[0].artifact.fingerprint
    assert second.commissioned_codecs[0].artifact.fingerprint != old
    assert [load(path).fingerprint for path in (second.paths[0].parent / OLDER_FOLDER).glob("*.safetensors")] == [old]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"codecs": ("jpeg2000",)}, "jpeg2000"),
        ({"codecs": ()}, "no codec"),
        ({"codecs": ("png", "png")}, "twice"),
        ({"backbone": "resnet99"}, "resnet99"),
        ({"backbone": "wide_resnet50_2"}, "wide_resnet50_2"),
        ({"taps": ("features.99",)}, "features.99"),
        ({"detector": "oracle"}, "oracle"),
        ({"parameters": {"magic": 1}}, "magic"),
    ],
)
def test_what_does_not_exist_is_refused_by_name(
    changes: dict[str, object], named: str, request_for: Callable[..., Request], tmp_path: Path
) -> None:
    with pytest.raises(MisconfiguredError, match=named):
        quietly(request_for(tmp_path, **changes))


def test_a_missing_folder_is_refused(request_for: Callable[..., Request], tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="nowhere"):
        quietly(request_for(tmp_path, data=tmp_path / "nowhere"))


@pytest.mark.parametrize("pictures", [1, 2])
@pytest.mark.parametrize("detector", DETECTORS)
def test_one_or_two_pictures_give_an_artifact_without_a_threshold(
    request_for: Callable[..., Request], good_pictures: Path, tmp_path: Path, pictures: int, detector: str
) -> None:
    data = tmp_path / "few"
    data.mkdir()
    for name in ("000.png", "001.png")[:pictures]:
        (data / name).write_bytes((good_pictures / name).read_bytes())
    made = quietly(request_for(tmp_path / "out", data=data, detector=detector, parameters={}))
    header = made.commissioned_codecs[0].artifact.header
    assert header.calibration.threshold is None
    assert header.normal_scores.images == header.calibration.images == (0 if pictures == 1 else 2)
    assert header.map_range[1] > header.map_range[0]


def test_a_folder_without_pictures_is_refused(request_for: Callable[..., Request], tmp_path: Path) -> None:
    data = tmp_path / "none"
    data.mkdir()
    with pytest.raises(MisconfiguredError):
        quietly(request_for(tmp_path / "out", data=data))


def test_an_unreadable_picture_is_refused_by_name_unless_it_may_be_skipped(
    request_for: Callable[..., Request], good_pictures: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for path in good_pictures.iterdir():
        (data / path.name).write_bytes(path.read_bytes())
    (data / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(MisconfiguredError, match=r"broken\.png.*--skip-unreadable"):
        quietly(request_for(tmp_path / "out", data=data))
    made = quietly(request_for(tmp_path / "out", data=data, skip_unreadable=True))
    assert made.images == 16
    assert len(made.skipped) == 1
    assert "broken.png" in made.skipped[0]


def test_pictures_of_mixed_sizes_are_resized(
    request_for: Callable[..., Request], good_pictures: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for index, path in enumerate(sorted(good_pictures.iterdir())):
        side = 64 + 16 * (index % 3)
        Image.open(path).resize((side, side)).save(data / path.name)
    made = quietly(request_for(tmp_path / "out", data=data))
    assert (made.images, made.doubts) == (16, ())


def test_putting_an_older_profile_back_is_the_way_back_and_what_it_names_stays(
    request_for: Callable[..., Request], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = quietly(request_for(out, codecs=("png",)))
    second = quietly(request_for(out, codecs=("png",), seed=1))
    (older,) = first.profile_path.parent.glob("older/profile-*.msgpack")
    assert unpack(older.read_bytes(), Profile) == first.profile
    assert first.profile != second.profile
    older.replace(first.profile_path)
    engines = EngineCache(threads=1)
    artifact_store = open_store(out, engine_for=engines.engine_for)
    assert artifact_store.profiles[first.profile.station] == first.profile
    assert remove_older(out, before=time.time() + 3600) == 0
    first.profile_path.write_bytes(pack(second.profile))
    assert remove_older(out, before=time.time() + 3600) == 1


def test_copies_and_shapes_that_differ_are_told(
    request_for: Callable[..., Request], good_pictures: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    first, *others = sorted(good_pictures.iterdir())
    Image.open(first).resize((96, 64)).save(data / "wide.png")
    for path in others[:11]:
        Image.open(path).save(data / path.name)
    Image.open(others[0]).save(data / "copy.png")
    made = quietly(request_for(tmp_path / "out", data=data))
    copied, shaped = made.doubts
    assert copied.startswith("1 of 13 pictures are copies of others")
    assert "12 of 64x64, 1 of 64x96" in shaped


def test_where_nothing_can_be_written_is_said_before_anything_is_learnt(
    request_for: Callable[..., Request], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("here")
    started: list[str] = []
    with pytest.raises(MisconfiguredError, match=r"file is a file, not a folder .*; name another folder"):
        commission(request_for(tmp_path / "file" / "out"), on_progress=lambda phase, *_: started.append(phase))
    assert started == []


def test_a_folder_that_cannot_be_written_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look_at_folder(tmp_path / "new" / "deeper")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(UnavailableError, match=r"deeper cannot be written: .*; name another folder"):
        look_at_folder(tmp_path / "new" / "deeper")


def test_progress_of_every_phase_ends_where_it_should(request_for: Callable[..., Request], tmp_path: Path) -> None:
    last: dict[str, tuple[int, int]] = {}
    commission(
        request_for(tmp_path, codecs=("png",)),
        on_progress=lambda phase, done, total: last.update({phase: (done, total)}),
    )
    assert set(last) == {"read", "png: encode", "png: embed", "png: hold out", "png: fit"}
    assert all(done == total > 0 for done, total in last.values())


def test_a_drawn_product_is_told_from_its_defect(request_for: Callable[..., Request], tmp_path: Path) -> None:
    rng, data, size = np.random.default_rng(3), tmp_path / "washers", (96, 96)
    data.mkdir()
    washer = PRODUCTS["washer"]
    for number in range(24):
        Image.fromarray(washer.draw(rng, size).pixels).save(data / f"{number:02}.png")
    made = quietly(request_for(tmp_path / "out", data=data, codecs=("webp:90",), input_size=size))
    artifact_store = open_store(tmp_path / "out", engine_for=EngineCache(threads=1).engine_for)
    judge = artifact_store.artifacts[0]
    codec = codec_of("webp:90")

    def score(pixels: NDArray[np.uint8]) -> float:
        decoded = codec.decode(codec.encode(pixels), size)
        embedded = judge.detector.embed(judge.reader.embed([decoded]))
        return float(judge.detector.render(judge.detector.search(embedded), size).scores[0])

    good = [score(washer.draw(rng, size).pixels) for _ in range(8)]
    bad = [score(plant_defect(washer.draw(rng, size), "missing_part", size=0.3, rng=rng)[0]) for _ in range(8)]
    assert np.median(bad) > np.median(good)
    assert made.images == 24
