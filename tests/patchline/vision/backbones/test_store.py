"""Where weights are looked for, and what is refused."""

import hashlib
import os
from pathlib import Path

import pytest

from patchline.vision.backbones import store
from patchline.vision.backbones.spec import BackboneSpec, Checkpoint, ModelFile, Tap
from patchline.wire.errors import MisconfiguredError

MODEL, OTHER = b"the model", b"another"
TAPS = {"a": Tap(8, 4), "b": Tap(16, 8), "c": Tap(32, 16)}


def spec(*, checkpoint: bool = True) -> BackboneSpec:
    return BackboneSpec(
        name="tiny",
        taps=TAPS,
        default_taps=("a", "b"),
        licence="none",
        files=(ModelFile(name="tiny.onnx", sha256=hashlib.sha256(MODEL).hexdigest(), taps=("a", "b")),),
        checkpoint=Checkpoint(
            url="http://localhost/tiny-abc.pth",
            url_sha256_prefix="abc",
            files={"tiny.safetensors": hashlib.sha256(b"weights").hexdigest()},
        )
        if checkpoint
        else None,
        architecture="resnet18" if checkpoint else "",
    )


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Two folders of the variable, the cache and the package, all empty and of the test's own."""
    found = {name: tmp_path / name for name in ("first", "second", "packaged")}
    monkeypatch.setenv("PATCHLINE_WEIGHTS", os.pathsep.join([str(found["first"]), str(found["second"])]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "PACKAGED", found["packaged"])
    found["cache"] = store.cache_folder()
    for folder in found.values():
        folder.mkdir(parents=True)
    return found


def test_folders_are_asked_in_order(places: dict[str, Path]) -> None:
    for name in ("packaged", "cache", "second", "first"):
        (places[name] / "tiny.onnx").write_bytes(MODEL)
        found = store.find(spec())
        assert found.path == places[name] / "tiny.onnx"
        assert found.sha256 == hashlib.sha256(MODEL).hexdigest()
        assert found.read() == MODEL


def test_the_cache_is_under_the_home_folder_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.cache_folder() == tmp_path / ".cache" / "patchline" / "weights"


def test_a_file_of_the_right_name_but_another_content_is_refused_by_name(places: dict[str, Path]) -> None:
    (places["second"] / "tiny.onnx").write_bytes(OTHER)
    with pytest.raises(MisconfiguredError, match=r"not the tiny it should be.*second/tiny\.onnx"):
        store.find(spec())


def test_what_is_missing_names_every_place_and_the_remedies(places: dict[str, Path]) -> None:
    with pytest.raises(MisconfiguredError) as caught:
        store.find(spec())
    for folder in places.values():
        assert str(folder) in caught.value.where
    assert "patchline weights export tiny --taps a,b" in caught.value.remedy
    assert "patchline weights fetch tiny" in caught.value.remedy
    with pytest.raises(MisconfiguredError) as caught:
        store.find(spec(checkpoint=False))
    assert "export" not in caught.value.remedy


def test_a_tap_that_does_not_exist_is_refused_and_the_others_named() -> None:
    with pytest.raises(MisconfiguredError, match=r"no tap 'z'.*choose among a, b, c"):
        store.find(spec(), ["a", "z"])


def test_an_export_is_found_by_its_taps_and_carries_its_origin(places: dict[str, Path]) -> None:
    (places["first"] / "tiny.onnx").write_bytes(MODEL)
    checkpoint = places["first"] / "tiny.safetensors"
    checkpoint.write_bytes(b"weights")
    path = store.save_export(OTHER, spec(), ["a", "c"], checkpoint=checkpoint, folder=places["cache"])
    assert path == places["cache"] / "tiny.a+c.onnx"
    assert store.find(spec(), ["c"]) == store.StoredBackbone(path, hashlib.sha256(OTHER).hexdigest(), ("a", "c"))
    assert store.find(spec()).path == places["first"] / "tiny.onnx"
    assert store.find_by_sha256(spec(), hashlib.sha256(OTHER).hexdigest()) == store.find(spec(), ["c"])
    assert store.find_by_sha256(spec(), "0" * 64) is None
    assert not list(places["cache"].glob("*.partial"))


def test_an_export_of_all_taps_is_named_so(places: dict[str, Path]) -> None:
    checkpoint = places["first"] / "tiny.safetensors"
    checkpoint.write_bytes(b"weights")
    path = store.save_export(OTHER, spec(), list(TAPS), checkpoint=checkpoint, folder=places["cache"])
    assert path.name == "tiny.all.onnx"
    assert store.find(spec(), ["a", "b", "c"]).path == path


def test_an_export_whose_note_is_broken_or_whose_content_changed_is_refused(places: dict[str, Path]) -> None:
    checkpoint = places["first"] / "tiny.safetensors"
    checkpoint.write_bytes(b"weights")
    path = store.save_export(OTHER, spec(), ["c"], checkpoint=checkpoint, folder=places["cache"])
    path.write_bytes(MODEL)
    with pytest.raises(MisconfiguredError, match=r"not the tiny it should be.*tiny\.c\.onnx"):
        store.find(spec(), ["c"])
    path.with_name("tiny.c.onnx.json").write_text("{")
    with pytest.raises(MisconfiguredError, match=r"note of an exported backbone.*tiny\.c\.onnx\.json"):
        store.find(spec(), ["c"])


def test_a_file_changed_after_it_was_found_is_not_used(places: dict[str, Path]) -> None:
    (places["first"] / "tiny.onnx").write_bytes(MODEL)
    found = store.find(spec())
    found.path.write_bytes(OTHER)
    with pytest.raises(MisconfiguredError, match="changed while in use"):
        found.read()
    found.path.unlink()
    with pytest.raises(MisconfiguredError, match="cannot be read"):
        found.read()


def test_weights_to_export_from_are_looked_for_in_the_same_places(places: dict[str, Path]) -> None:
    with pytest.raises(MisconfiguredError, match="weights fetch tiny"):
        store.find_checkpoint(spec())
    (places["second"] / "tiny.safetensors").write_bytes(b"weights")
    assert store.find_checkpoint(spec()) == places["second"] / "tiny.safetensors"
    (places["first"] / "tiny-abc.safetensors").write_bytes(b"fetched")
    assert store.find_checkpoint(spec()) == places["first"] / "tiny-abc.safetensors"
    (places["first"] / "tiny.safetensors").write_bytes(b"other weights")
    with pytest.raises(MisconfiguredError, match=r"not the tiny it should be.*first/tiny\.safetensors"):
        store.find_checkpoint(spec())
    with pytest.raises(MisconfiguredError, match=r"no weights to export from.*tiny\.onnx"):
        store.find_checkpoint(spec(checkpoint=False))


def test_a_folder_that_cannot_be_written_to_is_named(places: dict[str, Path]) -> None:
    (places["first"] / "file").write_bytes(b"")
    with pytest.raises(MisconfiguredError, match=r"cannot be written.*first/file/tiny"):
        store.write(places["first"] / "file" / "tiny.onnx", MODEL)
