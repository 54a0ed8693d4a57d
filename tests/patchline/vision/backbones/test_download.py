"""Fetching weights from a real HTTP server of the test's own."""

import dataclasses
import hashlib
import io
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from patchline.vision.backbones import BACKBONES, download
from patchline.wire.errors import MisconfiguredError, UnavailableError

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch", reason="the torch extra is not installed")

SPEC = BACKBONES["resnet18"]
Files = dict[str, tuple[bytes, int]]


def torch_file(content: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


WEIGHTS = torch_file({"a": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(4)})


@pytest.fixture
def files() -> Files:
    """Path -> (content, how many bytes more the server announces than it sends)."""
    return {"/good.pth": (WEIGHTS, 0), "/short.pth": (WEIGHTS, 100), "/page.html": (b"<html>", 0)}


@pytest.fixture
def server(files: Files) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in files:
                self.send_error(404)
                return
            content, more = files[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content) + more))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, name="weights server")
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        thread.join()


def prefix(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]


def test_a_download_is_checked_and_kept_as_safetensors(server: str, tmp_path: Path) -> None:
    reports: list[tuple[int, int]] = []
    path = download.fetch(
        SPEC,
        tmp_path / "new",
        url=f"{server}/good.pth",
        sha256_prefix=prefix(WEIGHTS),
        on_progress=lambda done, total: reports.append((done, total)),
    )
    assert path == tmp_path / "new" / "resnet18-f37072fd.safetensors"
    arrays = download.read_checkpoint(path)
    np.testing.assert_array_equal(arrays["a"], np.arange(6.0).reshape(2, 3))
    assert arrays["n"] == 4
    assert reports[-1] == (len(WEIGHTS), len(WEIGHTS))


def test_the_specs_own_address_and_digest_are_used_unless_others_are_given(server: str, tmp_path: Path) -> None:
    assert SPEC.checkpoint is not None
    own = dataclasses.replace(SPEC.checkpoint, url=f"{server}/good.pth", url_sha256_prefix=prefix(WEIGHTS))
    assert download.fetch(dataclasses.replace(SPEC, checkpoint=own), tmp_path).is_file()


def test_without_torch_nothing_is_downloaded(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    reports: list[tuple[int, int]] = []
    with pytest.raises(MisconfiguredError, match=r"torch is not installed.*patchline\[torch\]"):
        download.fetch(SPEC, tmp_path, url=f"{server}/good.pth", on_progress=lambda *had: reports.append(had))
    assert reports == []


def test_a_file_with_another_digest_is_refused_and_nothing_is_kept(server: str, tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=f"should begin with f37072fd.*{server}"):
        download.fetch(SPEC, tmp_path, url=f"{server}/good.pth")
    assert not list(tmp_path.iterdir())


def test_a_server_that_is_away_or_stops_or_has_no_such_file_may_be_tried_again(server: str, tmp_path: Path) -> None:
    for url in (f"{server}/short.pth", f"{server}/none.pth", "http://127.0.0.1:1/away.pth"):
        with pytest.raises(UnavailableError, match=url):
            download.fetch(SPEC, tmp_path, url=url, sha256_prefix=prefix(WEIGHTS))
    assert not list(tmp_path.iterdir())


def test_what_is_no_file_of_weights_is_refused(server: str, tmp_path: Path, files: Files) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (open, (str(tmp_path / "trapped"), "w"))

    files["/trap.pth"] = (torch_file({"a": Trap()}), 0)
    files["/list.pth"] = (torch_file([1, 2]), 0)
    files["/numbers.pth"] = (torch_file({"a": 1}), 0)
    for name in ("/page.html", "/trap.pth", "/list.pth", "/numbers.pth"):
        with pytest.raises(MisconfiguredError, match="not a file of weights"):
            download.fetch(SPEC, tmp_path, url=server + name, sha256_prefix=prefix(files[name][0]))
    assert not list(tmp_path.iterdir())


def test_only_http_is_followed(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="http or https only"):
        download.fetch(SPEC, tmp_path, url="file:///etc/hostname")


def test_a_backbone_without_a_download_says_so(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="not offered for download"):
        download.fetch(BACKBONES["resnet50_v2_trunk"], tmp_path)


def test_weights_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"junk")
    for name in ("w.safetensors", "none.safetensors"):
        with pytest.raises(MisconfiguredError, match=name):
            download.read_checkpoint(tmp_path / name)
