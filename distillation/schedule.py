"""How long a training is and how fast it learns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Attributes:
        chunks: chunks to learn in all.
        passes: how often each chunk is gone through; making one costs as much as learning it twice.
        batch: pictures a step.
        muon_rate: highest learning rate of Muon, which has the convolutions' weights.
        adam_rate: highest learning rate of AdamW, which has the rest.
        warm_up: chunks in which the rates rise.
        level: share of the run after which they fall, in a straight line to zero at the end.
        decay: AdamW's weight decay.
        memory: share that the running average of the weights keeps at each step.
        fast: bfloat16 in the dense layers; half of float32's time on processors that have it.
    """

    chunks: int = 44
    passes: int = 4
    batch: int = 16
    muon_rate: float = 0.03
    adam_rate: float = 3e-3
    warm_up: float = 0.8
    level: float = 0.4
    decay: float = 1e-4
    memory: float = 0.995
    fast: bool = True

    def pace(self, done: float) -> float:
        """What both rates are multiplied with after so many chunks, 0..1."""
        return min(1.0, done / self.warm_up, (1 - done / self.chunks) / (1 - self.level))
