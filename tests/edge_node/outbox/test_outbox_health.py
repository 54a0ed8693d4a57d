"""A station whose outbox is deleted while it runs says so where health is asked, and goes on after a restart."""

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_node.settings import EdgeSettings
from patchline.replay.broker import free_port

pytestmark = pytest.mark.broker


def test_a_deleted_outbox_blocks_capture_and_readiness_names_it(
    service: Any,
    start_edge: Any,
    settings_for: Callable[..., EdgeSettings],
    tmp_path: Path,
    eventually: Callable[..., None],
) -> None:
    port = free_port()
    start_edge(settings_for({"kind": "synthetic", "product": "washer"}, metrics={"port": port}))

    def ready() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return str(error.read().decode())
        except OSError:
            return ""

    eventually(lambda: ready() == "ok\n" and len(service.seen) > 3)
    (tmp_path / "edge" / "outbox.sqlite").unlink()
    eventually(lambda: "the outbox file was deleted or replaced" in ready())
    eventually(lambda: "the outbox takes no pictures" in ready())
    assert not (tmp_path / "edge" / "outbox.sqlite").exists()
