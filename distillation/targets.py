"""What the student learns to predict: the teacher's maps in the few directions in which they vary most.

A linear projection on the leading principal components keeps Euclidean distances as well as any linear map of that
width can (Eckart and Young 1936), and distances are all that PatchCore looks at: the student's taps are narrow, so
memory banks are small. The components come from the generated pictures alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from distillation.teacher import TAPS, Maps

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Projection:
    """Teacher map -> target of one tap: `(map - mean) @ matrix / scale`.

    Attributes:
        mean: of the teacher's channels, (C,).
        matrix: the leading principal directions, orthonormal, (C, channels).
        scale: the square root of the teacher's whole variance at this tap; the exported student multiplies by it, so
            that its distances are in the teacher's units and its taps weigh against each other as the teacher's do.
        explained: the share of the variance that the directions hold: what even a perfect student cannot pass.
    """

    mean: Array
    matrix: Array
    scale: float
    explained: float

    def apply(self, maps: Array) -> Array:
        """(B, C, h, w) of the teacher -> (B, channels, h, w) of the student."""
        moved = maps - self.mean[None, :, None, None]
        return np.ascontiguousarray(
            np.einsum("bchw,cd->bdhw", moved, self.matrix / np.float32(self.scale), optimize=True)
        )


def principal_projection(vectors: NDArray[np.floating], channels: int) -> Projection:
    """The leading `channels` principal directions of (N, C) vectors.

    The sign of a direction is chosen so that its largest entry is positive: eigenvectors know none.
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    values, directions = np.linalg.eigh(np.cov(vectors.astype(np.float64) - mean, rowvar=False))
    order = np.argsort(values)[::-1][:channels]
    matrix = directions[:, order]
    matrix *= np.sign(matrix[np.abs(matrix).argmax(axis=0), np.arange(matrix.shape[1])])
    total = float(values.sum())
    return Projection(
        mean.astype(np.float32),
        np.ascontiguousarray(matrix, np.float32),
        total**0.5,
        float(values[order].sum()) / total,
    )


def fit_projections(batches: Iterable[Maps]) -> dict[str, Projection]:
    """A projection for every tap, student tap name -> projection, from the teacher's maps of generated pictures."""
    vectors: dict[str, list[Array]] = {tap.student: [] for tap in TAPS}
    for maps in batches:
        for tap in TAPS:
            found = maps[tap.teacher]
            vectors[tap.student].append(found.transpose(0, 2, 3, 1).reshape(-1, found.shape[1]))
    return {tap.student: principal_projection(np.concatenate(vectors[tap.student]), tap.channels) for tap in TAPS}


def save_projections(projections: dict[str, Projection], path: Path) -> None:
    """Keep the projections beside a run's checkpoint, so that a resumed run has the very same targets."""
    tensors = {f"{tap}.{part}": getattr(p, part) for tap, p in projections.items() for part in ("mean", "matrix")}
    numbers = {tap: json.dumps([p.scale, p.explained]) for tap, p in projections.items()}
    save_file(tensors, path, metadata=numbers)


def load_projections(path: Path) -> dict[str, Projection]:
    """What `save_projections` kept."""
    with safe_open(path, framework="numpy") as file:
        numbers = {tap: json.loads(text) for tap, text in file.metadata().items()}
        return {
            tap: Projection(file.get_tensor(f"{tap}.mean"), file.get_tensor(f"{tap}.matrix"), *numbers[tap])
            for tap in (tap.student for tap in TAPS)
        }
