"""How long steps take on a device that works on its own."""

# mypy: allow-untyped-calls

import time
from collections.abc import Callable, Mapping
from math import ceil
from statistics import median

import torch

WARM_UP = 3


def seconds_a_call(
    steps: Mapping[str, Callable[[int], None]], device: torch.device, *, seconds: float, rounds: int
) -> dict[str, float]:
    """The median time of one call of each step, in rounds in which all steps take turns.

    Args:
        steps: Name -> what runs so many calls; it need not wait for the device.
        device: What is waited for at the start and the end of each round.
        seconds: How long a round of one step takes, about.
        rounds: How many there are.
    """
    calls = {}
    for name, step in steps.items():
        step(WARM_UP)
        calls[name] = max(1, ceil(seconds / _elapsed(step, 1, device)))
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            taken[name].append(_elapsed(step, calls[name], device) / calls[name])
    return {name: median(each) for name, each in taken.items()}


def _elapsed(step: Callable[[int], None], calls: int, device: torch.device) -> float:
    wait(device)
    start = time.perf_counter()
    step(calls)
    wait(device)
    return time.perf_counter() - start


def wait(device: torch.device) -> None:
    """Wait until the device has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
