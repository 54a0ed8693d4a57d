"""Nearest neighbours on a device: one batched product over many banks; the nearest ones are measured again.

Candidates are ranked by `q·b - |b|² / 2` around each bank's mean. In half precision the bank is scaled by a power of
two, which keeps keys far from 65504, and the second term rides in two columns that meet ones, its rounded value and
what rounding took, so no product loses more than the factors do. Each stripe of a bank names its best; the best of
those are measured in float32 from differences, so that a vector which is in the bank has distance 0, and two patches
keep their order although their candidates were ranked roughly.
"""

# mypy: allow-untyped-calls

from math import ceil, floor, log2

import torch
from torch import Tensor
from torch.nn import functional

from patchline.vision.backbones.torch_engine import Precision

ROUGH_CANDIDATES = 2
"""Candidates measured anew where they were ranked in less than float32."""

_KEYS = {"cuda": 1 << 26, "cpu": 1 << 21}
"""Keys made at once: 128 MB of them in half precision on a GPU."""
_TAIL = 8
"""Columns behind each vector for its half norm, as many as tensor cores want in step."""
_LAST_RANK = -60000.0
_LARGEST_KEY = 512.0
"""What the half norms are scaled to; a patch 64 times as far out as any vector of the bank still has finite keys."""
_LARGEST_FACTOR = 1024.0
_SPARE = 4


class Banks:
    """Banks of vectors, and the nearest of a bank to each vector that asks it.

    Args:
        bank: `(N, C)` float32, on the device, vectors of all banks.
        rows: `(G, n)`, which of them each bank has; shorter ones repeat a row of their own.
        lengths: `(G,)`, how many of its rows are real.
        precision: In which candidates are ranked.
        compiled: Whether torch compiles what is around the products, each into one pass through memory.
    """

    def __init__(
        self, bank: Tensor, rows: Tensor, lengths: Tensor, *, precision: Precision, compiled: bool = False
    ) -> None:
        rough = precision in {"float16", "bfloat16"}
        dtype = torch.float16 if rough else torch.float32
        self.bank, self.rows = bank, rows
        self._centred = torch.compile(_centred, dynamic=True) if compiled else _centred
        self._distances = torch.compile(_distances, dynamic=True) if compiled else _distances
        self._candidates = 1 if precision == "float32" else ROUGH_CANDIDATES
        self._real = torch.arange(rows.shape[1], device=bank.device) < lengths[:, None]
        real = self._real[..., None]
        vectors = bank[rows]
        self._centres = (vectors.where(real, 0).sum(1, keepdim=True) / real.sum(1, keepdim=True)).to(dtype)
        vectors = vectors - self._centres.float()
        halves = vectors.double().square().sum(2) / 2  # of padding too, which is a vector of its bank
        scale = _scale(vectors, halves) if rough else 1.0
        self._halves = halves.float()
        self._keys = _operand(vectors * scale, (halves * scale).where(self._real, -_LAST_RANK), dtype)

    @property
    def channels(self) -> int:
        """Of a vector."""
        return int(self.bank.shape[1])

    def nearest(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest of each vector in its bank.

        Args:
            vectors: `(G, m, C)`, of any precision.

        Returns:
            Euclidean distances `(G, m)` float32, and rows of the bank, `(G, m)`.
        """
        places = self._ranked(self._centred(vectors, self._centres, self._keys.dtype))
        best: tuple[Tensor, Tensor] | None = None
        for candidate in range(places.shape[2]):
            rows = self.rows.gather(1, places[..., candidate])
            distances = self._distances(self.bank, vectors, rows)
            if best is None:
                best = distances, rows
            else:
                nearer = distances < best[0]
                best = torch.where(nearer, distances, best[0]), torch.where(nearer, rows, best[1])
        assert best is not None
        return best

    def around(self, vectors: Tensor, banks: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k nearest of few vectors in a bank each, nearest first.

        Args:
            vectors: `(B, C)` float32.
            banks: `(B,)`, which bank each asks.
            k: How many; all of a bank where none has as many.

        Returns:
            Rows of the bank `(B, k)`, and whether each is real: a bank with fewer vectors has none to give.
        """
        centred = vectors - self._centres.float()[banks, 0]
        if len(self.rows) == 1:
            keys = centred @ self.bank[self.rows[0]].T
        else:
            keys = torch.bmm(self.bank[self.rows[banks]], centred[..., None])[..., 0]
        keys = (keys - self._halves[banks]).where(self._real[banks], -torch.inf)
        places = keys.topk(min(k + _SPARE, keys.shape[1]), dim=1).indices
        rows, real = self.rows[banks].gather(1, places), self._real[banks].gather(1, places)
        distances = torch.linalg.vector_norm(self.bank[rows] - vectors[:, None], dim=2).where(real, torch.inf)
        order = distances.argsort(dim=1, stable=True)[:, :k]
        return rows.gather(1, order), real.gather(1, order)

    def _ranked(self, operand: Tensor) -> Tensor:
        """Places in the banks of the best candidates, `(G, m, candidates)`."""
        groups, count, _ = operand.shape
        length = self._keys.shape[2]
        stripes = ceil(groups * count * length / _KEYS.get(operand.device.type, _KEYS["cuda"]))
        step = ceil(length / max(stripes, self._candidates))
        keys, places = [], []
        for start in range(0, length, step):
            best = torch.bmm(operand, self._keys[:, :, start : start + step]).max(dim=2)
            keys.append(best.values)
            places.append(best.indices + start)
        chosen = torch.stack(places, dim=2)
        if len(keys) <= self._candidates:
            return chosen
        return chosen.gather(2, torch.stack(keys, dim=2).topk(self._candidates, dim=2).indices)


def _centred(vectors: Tensor, centres: Tensor, dtype: torch.dtype) -> Tensor:
    """Vectors from the centres of their banks, with the ones behind them that meet the half norms."""
    return functional.pad((vectors - centres).to(dtype), (0, _TAIL), value=1.0)


def _distances(bank: Tensor, vectors: Tensor, rows: Tensor) -> Tensor:
    """Euclidean distances, in float32 and from differences, of vectors `(G, m, C)` to rows `(G, m)` of the bank."""
    return torch.linalg.vector_norm(bank[rows] - vectors, dim=2)


def _scale(vectors: Tensor, halves: Tensor) -> float:
    """The power of two by which keys, and the vectors that make them, stay well inside half precision."""
    longest, widest = float(halves.max()), float(vectors.abs().max())
    return 2.0 ** floor(log2(min(_LARGEST_KEY / longest, _LARGEST_FACTOR / widest))) if longest > 0 else 1.0


def _operand(vectors: Tensor, halves: Tensor, dtype: torch.dtype) -> Tensor:
    """Vectors and half norms as columns, `(G, C + tail, n)`, which meet patches with ones behind them."""
    operand = vectors.new_zeros((vectors.shape[0], vectors.shape[1], vectors.shape[2] + _TAIL), dtype=dtype)
    operand[..., :-_TAIL] = vectors
    rounded = halves.to(dtype)
    operand[..., -_TAIL] = -rounded
    operand[..., -_TAIL + 1] = -(halves - rounded)
    return operand.transpose(1, 2)
