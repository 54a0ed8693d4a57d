"""Muon: momentum whose update is made orthogonal, matrix by matrix (Jordan et al., 2024).

All singular values of an update become about one, so that rare directions are learned as fast as common ones. In this
training it reached in 300 steps what AdamW needed over 1000 for; see LOG.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz iteration; steep at zero, not exactly converging at one, which does no harm."""
ITERATIONS = 5
MOMENTUM = 0.95


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix with all its singular values moved to about one."""
    first, second, third = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(ITERATIONS):
        square = wide @ wide.T
        wide = first * wide + (second * square + third * square @ square) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T


class Muon(torch.optim.Optimizer):  # type: ignore[misc]  # torch comes without types
    """For weights of at least two dimensions; a convolution's are seen as a matrix (outputs, inputs x kernel)."""

    def __init__(self, weights: Iterable[Tensor], *, lr: float) -> None:
        super().__init__(weights, {"lr": lr})

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch comes without types
    def step(self, closure: Any = None) -> None:  # noqa: ARG002 -- the signature is torch's
        """One update with Nesterov momentum."""
        for group in self.param_groups:
            for weight in group["params"]:
                memory = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                memory.mul_(MOMENTUM).add_(weight.grad)
                ahead = weight.grad.add(memory, alpha=MOMENTUM).reshape(len(weight), -1)
                update = orthogonal(ahead) * max(1.0, ahead.shape[0] / ahead.shape[1]) ** 0.5
                weight.add_(update.view(weight.shape), alpha=-group["lr"])
