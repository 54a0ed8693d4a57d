"""Opening pictures, whoever made them, and reading category folders."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from patchline.pictures.files import GOOD, Sample, list_pictures, open_mask, open_picture, read_category
from patchline.wire.errors import MisconfiguredError, UnavailableError, UnreadableError

RGB = np.random.default_rng(5).integers(0, 255, (20, 30, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def put(path: Path, value: int = 90, size: tuple[int, int] = (8, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)
    return path


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_a_lossless_file_gives_its_pixels(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "part.bin"
    path.write_bytes(encoded(Image.fromarray(RGB), kind))
    pixels = open_picture(path)
    assert np.array_equal(pixels, RGB)
    assert pixels.flags.writeable


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_lossy_file_gives_nearly_its_pixels(kind: str) -> None:
    smooth = np.broadcast_to(np.linspace(0, 255, 64)[None, :, None], (40, 64, 3)).astype(np.uint8)
    assert np.abs(open_picture(encoded(Image.fromarray(smooth), kind, quality=95)).astype(int) - smooth).max() < 12


def test_grey_is_repeated_over_the_channels() -> None:
    pixels = open_picture(encoded(Image.fromarray(RGB[..., 0])))
    assert np.array_equal(pixels, np.repeat(RGB[..., :1], 3, axis=2))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight(kind: str) -> None:
    deep = np.array([[0, 128, 129, 257, 32768, 65535]], dtype=np.uint16)
    assert open_picture(encoded(Image.fromarray(deep), kind))[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


def test_a_palette_is_looked_up() -> None:
    flat = Image.new("RGB", (6, 4), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE)
    assert open_picture(encoded(flat)).tolist() == [[[10, 200, 30]] * 6] * 4


def test_what_is_transparent_is_black() -> None:
    image = Image.new("RGBA", (2, 1), (200, 100, 50, 255))
    image.putpixel((1, 0), (200, 100, 50, 0))
    assert open_picture(encoded(image)).tolist() == [[[200, 100, 50], [0, 0, 0]]]


def test_a_palette_with_a_transparent_entry_is_laid_over_black() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    assert open_picture(encoded(image, transparency=1)).tolist() == [[[255, 0, 0], [0, 0, 0]]]


def test_print_colours_are_converted() -> None:
    pixels = open_picture(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    red, green, blue = pixels.reshape(-1, 3).mean(axis=0)
    assert red > 220
    assert max(green, blue) < 60


def test_a_picture_lies_as_its_orientation_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = open_picture(encoded(Image.fromarray(RGB), "PNG", exif=exif))
    assert np.array_equal(turned, np.rot90(RGB, -1))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"GIF89a" + bytes(40), "not a picture"),
        (b"hello, I am a text", "not a picture"),
        (encoded(Image.fromarray(RGB))[:200], "damaged"),
        (encoded(Image.fromarray(RGB), "JPEG")[:400], "damaged"),
        (encoded(Image.fromarray(RGB), "WEBP")[:100], "damaged"),
        (encoded(Image.fromarray(RGB), "BMP")[:100], "damaged"),
        (encoded(Image.fromarray(RGB.astype(np.float32)[..., 0]), "TIFF"), "32 bits"),
        (encoded(Image.fromarray(RGB.astype(np.int32)[..., 0]), "TIFF"), "32 bits"),
        (encoded(Image.fromarray(RGB), "TIFF", save_all=True, append_images=[Image.fromarray(RGB)]), "2 pictures"),
        (encoded(Image.fromarray(RGB), "WEBP", save_all=True, append_images=[Image.fromarray(255 - RGB)]), "2 pict"),
    ],
    ids=["empty", "gif", "text", "cut png", "cut jpeg", "cut webp", "cut bmp", "float", "32 bit", "pages", "animated"],
)
def test_what_cannot_be_read_is_said_with_its_path(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "part_0001.png"
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match=reason) as caught:
        open_picture(path)
    assert caught.value.reason.startswith(str(path))


def test_a_file_that_vanished_and_a_folder_are_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"gone\.png: there is no such file"):
        open_picture(tmp_path / "gone.png")
    with pytest.raises(UnreadableError, match="not a file"):
        open_picture(tmp_path)


def test_a_bomb_is_refused_by_its_header() -> None:
    body = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    header = b"\x00\x00\x00\x0dIHDR" + body + struct.pack(">I", zlib.crc32(b"IHDR" + body))
    with pytest.raises(UnreadableError, match="exceeds limit") as caught:
        open_picture(b"\x89PNG\r\n\x1a\n" + header + encoded(Image.fromarray(RGB))[33:])
    assert caught.value.code == "size"


def test_the_pixel_limit_is_the_callers() -> None:
    content = encoded(Image.fromarray(RGB))
    assert open_picture(content, max_pixels=600).shape == (20, 30, 3)
    with pytest.raises(UnreadableError, match="30x20 pixels are over the limit of 599 pixels; scale it down") as caught:
        open_picture(content, max_pixels=599)
    assert caught.value.code == "size"


def test_a_camera_of_twenty_megapixels_is_read() -> None:
    grey = np.zeros((3648, 5472), dtype=np.uint16)
    grey[-1, -1] = 65535
    pixels = open_picture(encoded(Image.fromarray(grey)))
    assert (pixels.shape, int(pixels[0, 0, 0]), int(pixels[-1, -1, 2])) == ((3648, 5472, 3), 0, 255)


def test_more_bytes_than_any_picture_of_that_size_needs_are_not_even_opened() -> None:
    with pytest.raises(UnreadableError, match="bytes are over"):
        open_picture(encoded(Image.fromarray(RGB)) + bytes(2 << 20), max_pixels=600)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["PNG", "JPEG", "WEBP", "BMP", "TIFF"]))
def test_no_damage_gets_past_the_door_as_another_exception(data: st.DataObject, kind: str) -> None:
    damaged = bytearray(encoded(Image.fromarray(RGB), kind))
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=6)):
        damaged[place] = data.draw(st.integers(0, 255))
    try:
        pixels = open_picture(bytes(damaged))
    except UnreadableError:
        return
    assert pixels.shape[2] == 3


def category(root: Path) -> Path:
    for name in ("b.png", "a.JPG", "c.webp"):
        put(root / "train" / GOOD / name)
    put(root / "test" / GOOD / "0.png")
    put(root / "test" / "scratch" / "1.png")
    put(root / "test" / "scratch" / "0.png")
    put(root / "test" / "crack" / "7.png")
    put(root / "ground_truth" / "scratch" / "0_mask.png", 255)
    return root


def test_a_category_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    root = category(tmp_path / "bolt")
    found = read_category(root)
    assert found.name == "bolt"
    assert [(sample.path.name, sample.label) for sample in found.train] == [
        ("a.JPG", GOOD),
        ("b.png", GOOD),
        ("c.webp", GOOD),
    ]
    assert [(sample.path.name, sample.label, sample.mask_path is not None) for sample in found.test] == [
        ("7.png", "crack", False),
        ("0.png", GOOD, False),
        ("0.png", "scratch", True),
        ("1.png", "scratch", False),
    ]


def test_files_that_are_no_pictures_and_hidden_ones_are_passed_over(tmp_path: Path) -> None:
    root = category(tmp_path)
    (root / "train" / GOOD / "Thumbs.db").write_bytes(b"x")
    (root / "train" / GOOD / "._a.jpg").write_bytes(b"x")
    (root / "train" / GOOD / "folder.png").mkdir()
    assert len(read_category(root).train) == 3


@pytest.mark.parametrize("inner", ["", GOOD])
def test_a_box_of_good_parts_is_enough_to_learn_from(tmp_path: Path, inner: str) -> None:
    put(tmp_path / "parts" / inner / "2.png")
    put(tmp_path / "parts" / inner / "1.png")
    found = read_category(tmp_path / "parts")
    assert (found.name, found.test) == ("parts", ())
    assert [sample.path.name for sample in found.train] == ["1.png", "2.png"]
    assert {sample.label for sample in found.train} == {GOOD}


def test_a_missing_folder_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"does not exist \(.*nowhere\); give the folder"):
        read_category(tmp_path / "nowhere")
    with pytest.raises(MisconfiguredError, match="is not a folder"):
        read_category(put(tmp_path / "file.png"))


def test_an_empty_folder_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"no pictures of good parts .* train/good/"):
        read_category(tmp_path)


def test_a_folder_of_categories_is_answered_with_their_names(tmp_path: Path) -> None:
    category(tmp_path / "bolt")
    category(tmp_path / "nut")
    with pytest.raises(MisconfiguredError, match="name one of them: bolt, nut"):
        read_category(tmp_path)


def test_a_folder_without_permission_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(MisconfiguredError, match=r"cannot be read: Permission denied"):
        read_category(tmp_path)


@pytest.mark.parametrize("white", [1, 255])
def test_a_mask_is_resized_to_the_asked_size(tmp_path: Path, white: int) -> None:
    drawn = np.zeros((10, 20), np.uint8)
    drawn[:, 10:] = white
    Image.fromarray(drawn).save(tmp_path / "m.png")
    mask = open_mask(Sample(tmp_path / "p.png", "crack", tmp_path / "m.png"), (30, 40))
    assert mask is not None
    assert mask.shape == (30, 40)
    assert mask.dtype == np.bool_
    assert mask[:, 20:].all()
    assert not mask[:, :20].any()


def test_a_good_part_has_an_empty_mask_and_an_undrawn_defect_an_unknown_one(tmp_path: Path) -> None:
    good = open_mask(Sample(tmp_path / "p.png", GOOD), (4, 5))
    assert good is not None
    assert good.shape == (4, 5)
    assert not good.any()
    assert open_mask(Sample(tmp_path / "p.png", "crack"), (4, 5)) is None


def test_an_empty_mask_marks_nothing(tmp_path: Path) -> None:
    Image.new("L", (5, 5)).save(tmp_path / "m.png")
    mask = open_mask(Sample(tmp_path / "p.png", "crack", tmp_path / "m.png"), (4, 5))
    assert mask is not None
    assert not mask.any()


@pytest.mark.data
@pytest.mark.skipif("PATCHLINE_DATA" not in os.environ, reason="PATCHLINE_DATA names no folder of real pictures")
def test_every_real_category_is_read_whole() -> None:
    roots = sorted(folder.parent for folder in Path(os.environ["PATCHLINE_DATA"]).glob("*/*/train"))
    if not roots:
        pytest.skip("PATCHLINE_DATA holds no category")
    for root in roots:
        found = read_category(root)
        assert len(found.test) == sum(1 for path in (root / "test").glob("*/*") if path.is_file())
        for sample in (found.train[0], *found.test[::40]):
            pixels = open_picture(sample.path)
            mask = open_mask(sample, (pixels.shape[0], pixels.shape[1]))
            assert pixels.ndim == 3
            assert mask is None or mask.any() == (sample.label != GOOD)


def test_pictures_are_listed_by_name_without_hidden_files_folders_and_other_files(tmp_path: Path) -> None:
    for name in ("b.png", "A.JPG", "c.tiff", ".hidden.png", "._b.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"-")
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_pictures(tmp_path)] == ["A.JPG", "b.png", "c.tiff"]


@pytest.mark.parametrize("name", ["gone", "a file"])
def test_a_folder_that_cannot_be_listed_is_unavailable(tmp_path: Path, name: str) -> None:
    (tmp_path / "a file").write_bytes(b"-")
    with pytest.raises(UnavailableError, match=name):
        list_pictures(tmp_path / name)
