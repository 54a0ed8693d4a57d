"""The teacher: torchvision's MobileNetV2, run by ONNX Runtime at the two taps the student learns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from patchline.wire.errors import MisconfiguredError

Maps = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class TeacherTap:
    """One place where teacher and student meet.

    Attributes:
        teacher: Output of the teacher.
        student: Output of the student.
        stride: Of both.
        channels: Principal directions that are learned.
        shipped: How many of them, the most varying first, the exported student gives; the rest only help it learn.
    """

    teacher: str
    student: str
    stride: int
    channels: int
    shipped: int


TAPS = (TeacherTap("features.6", "stride8", 8, 24, 16), TeacherTap("features.13", "stride16", 16, 40, 40))
"""What is shipped keeps a float16 artifact under half of the teacher's: 56 channels against 128 where taps are put side
by side (PatchCore), 784 * 16 + 196 * 40 values against 784 * 32 + 196 * 96 where each keeps its own grid (FAPM)."""


class OnnxTeacher:
    """An ONNX backbone whose outputs are named like the teacher's taps; takes normalised pictures (B, 3, H, W)."""

    def __init__(self, path: Path) -> None:
        """Open the model.

        Raises:
            MisconfiguredError: there is no such file, or it has not the taps.
        """
        if not path.is_file():
            raise MisconfiguredError(
                "the teacher does not exist",
                where=str(path),
                remedy="name torchvision's MobileNetV2 as ONNX by --teacher",
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # it works ahead, in a process beside the training and its threads
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._taps = [tap.teacher for tap in TAPS]
        missing = set(self._taps) - {output.name for output in self._session.get_outputs()}
        if missing:
            raise MisconfiguredError(f"the teacher has no output {', '.join(sorted(missing))}", where=str(path))

    def maps(self, batch: NDArray[np.float32]) -> Maps:
        """The feature maps, tap name -> (B, C, h, w)."""
        return dict(zip(self._taps, self._session.run(self._taps, {"input": batch}), strict=True))
