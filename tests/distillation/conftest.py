"""A tiny teacher: random convolutions under the names of MobileNetV2's taps, so that nothing is downloaded."""

import io
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch", reason="the torch extra is not installed")
    pytest.importorskip("onnx", reason="the torch extra is not installed")
    from distillation.export import traced  # noqa: PLC0415 - imports torch

    class Tiny(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.fine = torch.nn.Conv2d(3, 32, 8, 8)
            self.coarse = torch.nn.Conv2d(32, 96, 2, 2)

        def forward(self, batch: Any) -> Any:  # type: ignore[no-untyped-def]
            fine = torch.tanh(self.fine(batch))
            return fine, torch.tanh(self.coarse(fine))

    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("teacher") / "tiny.onnx"
    buffer = io.BytesIO(traced(Tiny().eval(), {"features.6": 8, "features.13": 16}).SerializeToString())
    path.write_bytes(buffer.getvalue())
    return path
