"""Backbones in ONNX Runtime, the default engine at the edge and in the service."""

from collections.abc import Sequence

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from patchline.vision.pixels.arrays import FeatureMaps, Floats, Size
from patchline.wire.errors import MisconfiguredError

_RUNTIME_ERRORS = (
    runtime_errors.EPFail,
    runtime_errors.Fail,
    runtime_errors.InvalidArgument,
    runtime_errors.InvalidGraph,
    runtime_errors.InvalidProtobuf,
    runtime_errors.NotImplemented,
    runtime_errors.RuntimeException,
)
_LOG_FATAL = 4


class OnnxEngine:
    """A backbone on a bounded number of CPU threads that sleep while idle.

    It executes the whole file: cut the model first (`graph`) where it has more taps than those asked for.

    Args:
        model: The ONNX file's bytes.
        taps: Outputs to give, in this order.
        threads: How many threads one run may use.
        where: What to call the model in errors, its file's path for instance.

    Raises:
        MisconfiguredError: The bytes are not a model that can be run, or it has no such taps.
    """

    def __init__(self, model: bytes, taps: Sequence[str], *, threads: int = 1, where: str = "backbone") -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = _LOG_FATAL  # failures reach us as exceptions; nothing else writes to stderr
        self._taps, self._where = tuple(taps), where
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except _RUNTIME_ERRORS as error:
            raise MisconfiguredError(
                f"the backbone cannot be loaded: {_first_line(error)}",
                where=where,
                remedy="export or fetch the weights again",
            ) from error
        known = [output.name for output in self._session.get_outputs()]
        missing = [tap for tap in self._taps if tap not in known]
        if missing:
            raise MisconfiguredError(
                f"the model has no output {', '.join(map(repr, missing))}; it has {', '.join(known)}", where=where
            )
        self._input = self._session.get_inputs()[0].name

    @property
    def taps(self) -> tuple[str, ...]:
        """The taps it gives, in the order in which `run` gives them."""
        return self._taps

    def run(self, batch: Floats) -> FeatureMaps:
        """The feature maps of a batch of normalised pictures, `(B, 3, H, W)` float32.

        Raises:
            MisconfiguredError: The network cannot take pictures of that size.
        """
        try:
            arrays = self._session.run(self._taps, {self._input: batch})
        except _RUNTIME_ERRORS as error:
            raise MisconfiguredError(
                f"the backbone cannot run on input of shape {batch.shape}: {_first_line(error)}",
                where=self._where,
                remedy="choose another input size",
            ) from error
        return dict(zip(self._taps, arrays, strict=True))

    def warm_up(self, size: Size, batch_size: int = 1) -> None:
        """Run once on a blank batch, so that the first real one does not pay for the memory the network sets up.

        Raises:
            MisconfiguredError: The network cannot take pictures of that size.
        """
        self.run(np.zeros((batch_size, 3, *size), dtype=np.float32))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
