"""`patchline weights`, run as a person runs it."""

import hashlib
import http.server
import importlib
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from patchline.cli.weights import app
from patchline.vision.backbones import BACKBONES, store
from patchline.wire.errors import EXIT_MISCONFIGURED, EXIT_UNAVAILABLE


@pytest.fixture(autouse=True)
def weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No weights anywhere but in a folder and a cache of the test's own."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("PATCHLINE_WEIGHTS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def published(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address and sha256 of a ResNet-18 with random weights, as torchvision publishes its own."""
    torch = pytest.importorskip("torch", reason="the torch extra is not installed")
    served = tmp_path / "served"
    served.mkdir()
    torch.manual_seed(0)
    torch.save(
        importlib.import_module("patchline.vision.backbones.torch_models").resnet18().state_dict(),
        served / "resnet18.pth",
    )
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="weights server")
        thread.start()
        digest = hashlib.sha256((served / "resnet18.pth").read_bytes()).hexdigest()
        yield f"http://127.0.0.1:{server.server_address[1]}/resnet18.pth", digest
        server.shutdown()
        thread.join()


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


def test_list_shows_every_backbone_with_its_taps_and_what_is_missing() -> None:
    code, output = run("list")
    assert code == 0
    for spec in BACKBONES.values():
        assert spec.name in output
        assert ", ".join(spec.taps) in output
    assert "patchline weights fetch wide_resnet50_2" in output


@pytest.mark.torch
def test_fetched_weights_can_be_used_at_once_with_any_tap(published: tuple[str, str]) -> None:
    url, digest = published
    code, output = run("fetch", "resnet18", "--url", url, "--sha256", digest)
    assert code == 0, output
    assert "resnet18.all.onnx" in output
    assert "add" not in output
    found = store.find(BACKBONES["resnet18"], list(BACKBONES["resnet18"].taps))
    assert found.path == store.cache_folder() / "resnet18.all.onnx"
    assert found.sha256[:12] in run("list")[1]


@pytest.mark.torch
def test_an_export_says_where_it_went_and_how_to_have_it_found(
    published: tuple[str, str], weights_folder: Path, tmp_path: Path
) -> None:
    url, digest = published
    assert run("fetch", "resnet18", "--url", url, "--sha256", digest, "--out", str(weights_folder))[0] == 0
    source = weights_folder / "resnet18-f37072fd.safetensors"
    code, output = run("export", "resnet18", "--taps", "layer3,layer1", "--out", str(tmp_path / "out"))
    assert code == 0, output
    assert (tmp_path / "out" / "resnet18.layer1+layer3.onnx").is_file()
    assert f"add {tmp_path / 'out'} to PATCHLINE_WEIGHTS" in output.replace("\n", "")
    assert run("export", "resnet18", "--from", str(source), "--out", str(weights_folder))[0] == 0


@pytest.mark.torch
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("export", "resnet19"), EXIT_MISCONFIGURED, "choose one of patchline_s, mobilenet_v2"),
        (("export", "resnet18", "--taps", "layer9"), EXIT_MISCONFIGURED, "choose among layer1, layer2, layer3"),
        (("export", "resnet18"), EXIT_MISCONFIGURED, "patchline weights fetch resnet18"),
        (("export", "resnet18", "--from", "none.safetensors"), EXIT_MISCONFIGURED, "none.safetensors"),
        (("export", "resnet50_v2_trunk"), EXIT_MISCONFIGURED, "no weights to export from"),
        (("fetch", "resnet50_v2_trunk"), EXIT_MISCONFIGURED, "not offered for download"),
    ],
)
def test_what_cannot_be_done_ends_in_one_line_and_the_documented_code(
    words: tuple[str, ...], code: int, message: str
) -> None:
    found, output = run(*words)
    assert found == code
    assert message in " ".join(output.split())
    assert "Traceback" not in output


@pytest.mark.torch
def test_a_download_that_nobody_offers_ends_in_one_line() -> None:
    pytest.importorskip("torch", reason="the torch extra is not installed")
    found, output = run("fetch", "resnet18", "--url", "http://127.0.0.1:1/x.pth")
    assert found == EXIT_UNAVAILABLE
    assert "cannot be downloaded" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("verb", ["list", "export", "fetch"])
def test_help_shows_an_example(verb: str) -> None:
    code, output = run(verb, "--help")
    assert code == 0
    assert f"patchline weights {verb}" in output
