"""PatchCore: distances to a memory bank of normal patches.

Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022; sections and equations are its.
"""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Annotated, Any, ClassVar, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from patchline.vision.detectors.fit_budget import Budget
from patchline.vision.detectors.fitted import DetectorParameters, FittedDetector, refuse_other_maps, wrong_tensor
from patchline.vision.detectors.patch_collection import collect
from patchline.vision.detectors.protocol import Embedded, PatchScores, all_finite, read_parameters
from patchline.vision.detectors.scoring import Score, picture_scores
from patchline.vision.nearest.coreset import greedy_k_centre
from patchline.vision.nearest.embedding import concatenate, default_grid
from patchline.vision.nearest.exact import ExactSearch
from patchline.vision.pixels.arrays import FeatureMaps, Floats, Progress, Size
from patchline.wire.errors import MisconfiguredError

BANK_LIMIT = 5000
"""Patches beyond which the default bank does not grow with the pictures, nor what a station has to hold."""

_DEFAULT_RATIO = 0.1
_PATCH = "patch"
_BANK = "bank"


class PatchCoreParameters(DetectorParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of `PatchCore`, beside those of every detector.

    Attributes:
        coreset_ratio: Share of the normal patches that the memory bank keeps (the paper's 25 %, 10 % and 1 %); None is
            a tenth, but no more than `BANK_LIMIT` patches.
        projection_dimensions: Dimensions in which the coreset's distances are measured; None takes all.
        neighbours: The b of eq. 7, by which the picture's score is re-weighted; 0 leaves it the largest patch distance.
        bank_budget_mb: Megabytes that all patches, the bank and its search may take while fitting; more is refused.
        score: How a picture is scored; "max" is the paper's eq. 7.
    """

    coreset_ratio: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    projection_dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = 64
    neighbours: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 9
    bank_budget_mb: Annotated[float, msgspec.Meta(gt=0)] = 4000.0
    score: Score = "max"


class PatchCore(FittedDetector[PatchCoreParameters]):
    """PatchCore with exact search; see `PatchCoreParameters` for what can be chosen."""

    name: ClassVar[str] = "patchcore"
    examples: ClassVar[dict[str, Any]] = {
        "coreset_ratio": 0.5,
        "projection_dimensions": 3,
        "neighbours": 0,
        "grid": (7, 6),
        "score": "contrast",
        "sigma": 1.0,
        "seed": 1,
    }

    def __init__(self, bank: Floats, parameters: PatchCoreParameters) -> None:
        super().__init__(parameters)
        if parameters.neighbours == 1:
            raise MisconfiguredError(
                "a re-weighting by one neighbour makes every score zero",
                where="detector patchcore, parameter neighbours",
                remedy="give 0 for no re-weighting, or at least 2",
            )
        self._search = ExactSearch(bank)

    @classmethod
    def fit(
        cls,
        batches: Iterable[FeatureMaps],
        *,
        seed: int,
        on_progress: Progress | None = None,
        **parameters: Any,
    ) -> Self:
        """Collect the patches of normal pictures and keep a coreset of them (sections 3.1 and 3.2).

        Raises:
            MisconfiguredError: A parameter is unknown or out of range, or there is no picture.
        """
        settings = read_parameters(cls.name, {**parameters, "seed": seed}, PatchCoreParameters)
        budget = Budget(
            settings.bank_budget_mb,
            lambda patches: _bank_rows(patches, settings.coreset_ratio),
            settings.projection_dimensions,
        )
        vectors = collect(batches, lambda maps: _patches(maps, settings.grid), budget)
        chosen = greedy_k_centre(
            vectors,
            _bank_rows(len(vectors), settings.coreset_ratio),
            seed=seed,
            projection_dimensions=settings.projection_dimensions,
            on_progress=on_progress,
        )
        bank = vectors[np.sort(chosen)]
        del vectors  # before the search is built, which takes twice the bank for a while
        return cls(bank, settings)

    def embed(self, maps: FeatureMaps) -> Embedded:
        """Patch embeddings: 3x3 means of each tap, aligned to one grid, side by side (section 3.1)."""
        patches = _patches(maps, self._parameters.grid)
        refuse_other_maps("channels", patches.shape[-1], self._search.bank.shape[1], maps)
        return {_PATCH: patches}

    def search(self, embedded: Embedded) -> PatchScores:
        """Each patch's distance to the bank (eq. 6) and the picture's score, re-weighted by default (eq. 7)."""
        patches = embedded[_PATCH]
        count, rows, columns, channels = patches.shape
        vectors = patches.reshape(-1, channels)
        nearest, indices = self._nearest(vectors)
        patch = nearest.reshape(count, rows, columns)
        if self._parameters.score != "max":
            return PatchScores(patch, picture_scores(patch, self._parameters.score))
        farthest = patch.reshape(count, -1).argmax(axis=1) + np.arange(count) * rows * columns
        return PatchScores(patch, self._scores(vectors[farthest], nearest[farthest], indices[farthest]))

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The memory bank, `(N, C)`."""
        return {_BANK: self._search.bank}

    @classmethod
    def restore(cls, tensors: Mapping[str, NDArray[Any]], parameters: Mapping[str, Any]) -> Self:
        """The detector that gave these `tensors` and `parameters`.

        Raises:
            MisconfiguredError: The bank is missing or not a matrix of numbers, or a parameter is unknown or wrong.
        """
        settings = read_parameters(cls.name, parameters, PatchCoreParameters)
        bank = tensors.get(_BANK)
        if bank is None or bank.ndim != 2 or not bank.size or bank.dtype != np.float32 or not all_finite(bank):  # noqa: PLR2004
            raise wrong_tensor(cls.name, "bank (the memory bank)")
        return cls(bank, settings)

    def _nearest(self, vectors: Floats) -> tuple[Floats, NDArray[np.intp]]:
        return self._search.nearest(vectors)

    def _scores(self, patches: Floats, distances: Floats, rows: NDArray[np.intp]) -> Floats:
        """Eq. 7: the winners' distances, times one less their share in the soft-max over their rows' neighbourhood."""
        if self._parameters.neighbours == 0:
            return distances
        bank = self._search.bank
        _, around = self._search.query(bank[rows], self._parameters.neighbours)
        differences = bank[around] - patches[:, np.newaxis]
        others = np.sqrt(np.einsum("bnc,bnc->bn", differences, differences)).astype(np.float64)
        shift = np.maximum(distances, others.max(axis=1))
        share = np.exp(distances - shift) / np.exp(others - shift[:, np.newaxis]).sum(axis=1)
        scores: Floats = (np.maximum(0.0, 1.0 - share) * distances).astype(np.float32)
        return scores


def _bank_rows(patches: int, ratio: float | None) -> int:
    return min(ceil(_DEFAULT_RATIO * patches), BANK_LIMIT) if ratio is None else ceil(ratio * patches)


def _patches(maps: FeatureMaps, grid: Size | None) -> Floats:
    return concatenate(maps, grid or default_grid(maps), pool=True)
