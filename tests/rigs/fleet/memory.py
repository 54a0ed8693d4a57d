"""Resident memory of processes over time, and whether it is flat."""

import time

import msgspec
import numpy as np

from patchline.wire.errors import missing_extra

_FLAT_SHARE = 0.03
_FLAT_BYTES = 2 * 1024**2
"""A last third that needs at most 3 per cent, or 2 MiB, more than the middle one is called flat."""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What one process needed.

    Attributes:
        middle_bytes: Median of the second third of the time.
        last_bytes: Median of the last third.
        growth_bytes_per_minute: Slope of a line through both.
    """

    largest_bytes: int
    middle_bytes: int
    last_bytes: int
    growth_bytes_per_minute: float
    flat: bool


class Sampler:
    """Looks at processes now and then.

    Args:
        processes: Name -> process id.

    Raises:
        MisconfiguredError: psutil, of the `bench` extra, is not installed.
    """

    def __init__(self, processes: dict[str, int]) -> None:
        try:
            import psutil  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise missing_extra("psutil", "bench") from error
        self._processes = {name: psutil.Process(number) for name, number in processes.items()}
        self._samples: dict[str, list[tuple[float, int]]] = {name: [] for name in processes}

    def sample(self) -> None:
        """Note what each needs now."""
        for name, process in self._processes.items():
            self._samples[name].append((time.monotonic(), int(process.memory_info().rss)))

    def memories(self) -> dict[str, Memory]:
        """What each has needed."""
        return {name: memory_of(samples) for name, samples in self._samples.items()}


def memory_of(samples: list[tuple[float, int]]) -> Memory:
    """Sum samples of (seconds, bytes) up; there must be three or more."""
    third = len(samples) // 3
    middle, last = samples[third : 2 * third], samples[-third:]
    middle_bytes, last_bytes = (int(np.median([size for _, size in part])) for part in (middle, last))
    seconds, sizes = np.array(samples[third:], dtype=np.float64).T
    slope = float(np.polyfit(seconds - seconds[0], sizes, 1)[0]) if len(sizes) > 1 else 0.0
    return Memory(
        largest_bytes=max(size for _, size in samples),
        middle_bytes=middle_bytes,
        last_bytes=last_bytes,
        growth_bytes_per_minute=60.0 * slope,
        flat=last_bytes - middle_bytes <= max(_FLAT_SHARE * middle_bytes, _FLAT_BYTES),
    )
