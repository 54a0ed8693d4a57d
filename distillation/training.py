"""The training loop: chunk after chunk, with falling rates, an average of the weights and resumable checkpoints."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distillation.chunks import Chunk
from distillation.losses import distillation_loss
from distillation.muon import Muon
from distillation.schedule import Schedule
from distillation.student import Student
from distillation.teacher import TAPS
from patchline.vision.pixels.preprocessing import normalise


class Run:
    """A training under way: the student, its running average, the optimiser and the number of chunks learned."""

    def __init__(self, schedule: Schedule, *, seed: int) -> None:
        torch.manual_seed(seed)
        self.schedule, self.seed, self.learned = schedule, seed, 0
        self.student = Student().to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.student)
        matrices = [weight for weight in self.student.parameters() if weight.ndim > 1 and weight.shape[1] > 1]
        others = [weight for weight in self.student.parameters() if weight.ndim == 1 or weight.shape[1] == 1]
        self.muon = Muon(matrices, lr=0.0)
        self.adam = torch.optim.AdamW(others, lr=0.0, betas=(0.9, 0.99), weight_decay=schedule.decay)

    def learn(self, chunk: Chunk) -> dict[str, float]:
        """Go through one chunk; the mean unexplained share of every tap."""
        self.student.train()
        rng = np.random.default_rng([self.seed, 2, chunk.index])
        total, steps = torch.zeros(len(TAPS)), 0
        batches = len(chunk.pixels) // self.schedule.batch
        for passed in range(self.schedule.passes):
            order = rng.permutation(len(chunk.pixels))
            for start in range(batches):
                done = chunk.index + (passed + start / batches) / self.schedule.passes
                self._set_pace(self.schedule.pace(done))
                chosen = order[start * self.schedule.batch : (start + 1) * self.schedule.batch]
                total += self._step(chunk, chosen)
                steps += 1
        self.learned = chunk.index + 1
        return {tap.student: float(share) for tap, share in zip(TAPS, total / max(steps, 1), strict=True)}

    def _set_pace(self, pace: float) -> None:
        for group in self.muon.param_groups:
            group["lr"] = self.schedule.muon_rate * pace
        for group in self.adam.param_groups:
            group["lr"] = self.schedule.adam_rate * pace

    def _step(self, chunk: Chunk, chosen: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Tensor:
        batch = torch.from_numpy(normalise(chunk.pixels[chosen])).contiguous(memory_format=torch.channels_last)
        targets = tuple(torch.from_numpy(chunk.targets[tap.student][chosen]).float() for tap in TAPS)
        predictions = self._predict(batch)
        loss, shares = distillation_loss(predictions, targets)
        self.student.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.muon.step()
        self.adam.step()
        self._average()
        return shares

    def _predict(self, batch: Tensor) -> tuple[Tensor, ...]:
        """The student's maps; only the dense layers run in bfloat16, depthwise ones are slower in it."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.schedule.fast):
            fine = self.student.to_stride8(batch)
        fine = fine.float()
        return self.student.heads[0](fine), self.student.heads[1](self.student.to_stride16(fine))

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch comes without types
    def _average(self) -> None:
        """Move the running average towards the student; normalisation counters are copied."""
        mine = self.student.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(mine[name], 1 - self.schedule.memory)
            else:
                value.copy_(mine[name])

    def save(self, path: Path) -> None:
        """Write a checkpoint; a crash while writing leaves the one before it."""
        state = {
            "student": self.student.state_dict(),
            "average": self.average.state_dict(),
            "muon": self.muon.state_dict(),
            "adam": self.adam.state_dict(),
            "learned": self.learned,
        }
        unfinished = path.with_suffix(".unfinished")
        torch.save(state, unfinished)
        unfinished.rename(path)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint of the same schedule and seed."""
        state = torch.load(path, weights_only=True)
        self.student.load_state_dict(state["student"])
        self.average.load_state_dict(state["average"])
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])
        self.learned = state["learned"]


def train(
    run: Run,
    source: Iterable[Chunk],
    *,
    checkpoint: Path | None = None,
    on_chunk: Callable[[int, dict[str, float]], None] | None = None,
) -> None:
    """Learn every chunk of the source; a checkpoint and a call of `on_chunk(learned, figures)` after each."""
    for chunk in source:
        figures = run.learn(chunk)
        if checkpoint is not None:
            run.save(checkpoint)
        if on_chunk is not None:
            on_chunk(run.learned, figures)
