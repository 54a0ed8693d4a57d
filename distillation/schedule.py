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
        level: share of the first cycle after which they fall, in a straight line to zero at its end.
        restart: chunk at which a second cycle begins, whose rates fall from its start; none where the run is shorter.
        again: the second cycle's highest rates, as a share of the first's.
        decay: AdamW's weight decay.
        memory: share that the running average of the weights keeps at each step.
        fast: bfloat16 in the dense layers; half of float32's time on processors that have it.
    """

    chunks: int = 62
    passes: int = 4
    batch: int = 16
    muon_rate: float = 0.03
    adam_rate: float = 3e-3
    warm_up: float = 0.8
    level: float = 0.4
    restart: int = 44
    again: float = 0.5
    decay: float = 1e-4
    memory: float = 0.995
    fast: bool = True

    def pace(self, done: float) -> float:
        """What both rates are multiplied with after so many chunks, 0..1."""
        first = min(self.restart, self.chunks)
        if done < first or self.chunks == first:
            return min(1.0, done / self.warm_up, (1 - done / first) / (1 - self.level))
        since = done - first
        return self.again * min(1.0, since / self.warm_up) * (1 - since / (self.chunks - first))
