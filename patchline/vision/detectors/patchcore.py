"""PatchCore: distances to a memory bank of normal patches.

Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022; sections and equations are its.
"""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Annotated, Any, ClassVar, Literal, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from patchline.vision.detectors.fit_budget import Budget
from patchline.vision.detectors.patch_collection import collect
from patchline.vision.detectors.protocol import Embedded, Parameter, PatchScores, Rendering, all_finite, read_parameters
from patchline.vision.detectors.scoring import Score, picture_scores
from patchline.vision.nearest import SEARCHES
from patchline.vision.nearest.coreset import greedy_k_centre
from patchline.vision.nearest.embedding import concatenate, default_grid
from patchline.vision.nearest.exact import ExactSearch
from patchline.vision.nearest.loss import search_loss
from patchline.vision.pixels.arrays import FeatureMaps, Floats, Progress, Size
from patchline.vision.scoring import anomaly_map
from patchline.wire.errors import MisconfiguredError

BANK_LIMIT = 5000
"""Patches beyond which the default bank does not grow with the pictures, nor what a station has to hold."""

_DEFAULT_RATIO = 0.1
_LOSS_SAMPLE = 4096
"""Normal patches on which an approximate search is compared with the exact one."""
_COPIES = {"exact": 0.0, "reduced": 0.5, "ivf": 2.0, "hnsw": 2.5, "pq": 2.0}
"""Banks that each search holds or sets up beside the exact one's."""
_PATCH = "patch"
_BANK = "bank"


class PatchCoreParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of `PatchCore`.

    Attributes:
        coreset_ratio: Share of the normal patches that the memory bank keeps (the paper's 25 %, 10 % and 1 %); None is
            a tenth, but no more than `BANK_LIMIT` patches.
        projection_dimensions: Dimensions in which the coreset's distances are measured; None takes all.
        neighbours: The b of eq. 7, by which the picture's score is re-weighted; 0 leaves it the largest patch distance.
        grid: Rows and columns of patches. By default those of the finest tap that has no more than twice the rows and
            columns of the coarsest: beyond that the search costs four times as much for what is mostly interpolated.
        bank_dtype: How the bank is kept in an artifact; float16 halves it.
        bank_budget_mb: Megabytes that all patches, the bank and its search may take while fitting; more is refused.
        thin: Keep a random share of the patches, as many as the budget has room for, instead of refusing more; the
            share is among the facts of the fit, and `coreset_ratio` is of what is kept. What is rare may be lost.
        search: `exact`, or one that may miss the nearest patch: `reduced`, or of faiss `ivf`, `hnsw` or `pq`. What it
            loses is among the facts of the fit. Building `hnsw` takes seconds at every start.
        score: How a picture is scored; "max" is the paper's eq. 7.
        sigma: Of the anomaly map's blur, in pixels.
        seed: Of the coreset; given as `seed` to `fit`.
    """

    coreset_ratio: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    projection_dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = 64
    neighbours: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 9
    grid: tuple[Annotated[int, msgspec.Meta(ge=1)], Annotated[int, msgspec.Meta(ge=1)]] | None = None
    bank_dtype: Literal["float16", "float32"] = "float32"
    bank_budget_mb: Annotated[float, msgspec.Meta(gt=0)] = 4000.0
    thin: bool = False
    search: Literal["exact", "reduced", "ivf", "hnsw", "pq"] = "exact"
    score: Score = "max"
    sigma: Annotated[float, msgspec.Meta(ge=0)] = 4.0
    seed: int = 0


class PatchCore:
    """PatchCore, with exact search unless told otherwise; see `PatchCoreParameters` for what can be chosen."""

    name: ClassVar[str] = "patchcore"

    def __init__(self, bank: NDArray[Any], parameters: PatchCoreParameters) -> None:
        if parameters.neighbours == 1:
            raise MisconfiguredError(
                "a re-weighting by one neighbour makes every score zero",
                where="detector patchcore, parameter neighbours",
                remedy="give 0 for no re-weighting, or at least 2",
            )
        self._parameters = parameters
        self._bank = bank.astype(parameters.bank_dtype, copy=False)
        self._facts: dict[str, float] = {}
        self._exact = ExactSearch(bank.astype(np.float32, copy=False))
        approximate = parameters.search != "exact"
        self._search = SEARCHES[parameters.search](self._exact.bank) if approximate else self._exact

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
            _COPIES[settings.search] + (settings.bank_dtype == "float16") / 2,
        )
        vectors, share = collect(
            batches, lambda maps: _patches(maps, settings.grid), budget, thin=settings.thin, seed=seed
        )
        chosen = greedy_k_centre(
            vectors,
            _bank_rows(len(vectors), settings.coreset_ratio),
            seed=seed,
            projection_dimensions=settings.projection_dimensions,
            on_progress=on_progress,
        )
        others = np.delete(np.arange(len(vectors)), chosen)
        sample = vectors[np.random.default_rng(seed).permutation(others)[:_LOSS_SAMPLE]]
        bank = vectors[np.sort(chosen)].astype(settings.bank_dtype, copy=False)
        del vectors  # before the search is built, which takes twice the bank for a while
        detector = cls(bank, settings)
        if settings.search != "exact":
            detector._facts = search_loss(detector._search, detector._exact, sample)
        if share < 1:
            detector._facts["share_of_patches_kept"] = share
        return detector

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Every parameter as it was fitted, defaults included."""
        fields: dict[str, Parameter] = msgspec.to_builtins(self._parameters)
        return fields

    def embed(self, maps: FeatureMaps) -> Embedded:
        """Patch embeddings: 3x3 means of each tap, aligned to one grid, side by side (section 3.1)."""
        patches = _patches(maps, self._parameters.grid)
        if patches.shape[-1] != self._bank.shape[1]:
            raise MisconfiguredError(
                f"patches have {patches.shape[-1]} channels and the memory bank has {self._bank.shape[1]}",
                where=f"taps {', '.join(maps)}",
                remedy="use the backbone and taps that the artifact was commissioned with",
            )
        return {_PATCH: patches}

    def search(self, embedded: Embedded) -> PatchScores:
        """Each patch's distance to the bank (eq. 6) and the picture's score, re-weighted by default (eq. 7)."""
        patches = embedded[_PATCH]
        count, rows, columns, channels = patches.shape
        vectors = patches.reshape(-1, channels)
        nearest, indices = self._search.nearest(vectors)
        distances = nearest.reshape(count, rows * columns)
        if self._parameters.score != "max":
            patch = distances.reshape(count, rows, columns)
            return PatchScores(patch, picture_scores(patch, self._parameters.score))
        farthest = distances.argmax(axis=1) + np.arange(count) * rows * columns
        scores = self._scores(vectors[farthest], nearest[farthest], indices[farthest])
        return PatchScores(distances.reshape(count, rows, columns), scores)

    def render(self, patch_scores: PatchScores, size: Size) -> Rendering:
        """Anomaly maps of a size; the scores are those of the search."""
        maps = anomaly_map.render(patch_scores.patch, size, sigma=self._parameters.sigma)
        return Rendering(maps, patch_scores.image)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The memory bank, `(N, C)`."""
        return {_BANK: self._bank}

    def facts(self) -> dict[str, float]:
        """What an approximate search loses on normal patches not in the bank; the share of them kept, if thinned."""
        return dict(self._facts)

    @classmethod
    def restore(cls, tensors: Mapping[str, NDArray[Any]], parameters: Mapping[str, Any]) -> Self:
        """The detector that gave these `tensors` and `parameters`.

        Raises:
            MisconfiguredError: The bank is missing or not a matrix of numbers, or a parameter is unknown or wrong.
        """
        settings = read_parameters(cls.name, parameters, PatchCoreParameters)
        bank = tensors.get(_BANK)
        if bank is None or bank.ndim != 2 or not bank.size or bank.dtype != settings.bank_dtype or not all_finite(bank):  # noqa: PLR2004
            raise MisconfiguredError(
                f"the memory bank is missing or not a matrix of {settings.bank_dtype}",
                where="detector patchcore, tensor bank",
                remedy="commission the station again",
            )
        return cls(bank, settings)

    def _scores(self, patches: Floats, distances: Floats, rows: NDArray[np.intp]) -> Floats:
        """Eq. 7: the winners' distances, times one less their share in the soft-max over their rows' neighbourhood."""
        if self._parameters.neighbours == 0:
            return distances
        _, around = self._exact.query(self._exact.bank[rows], self._parameters.neighbours)
        differences = self._exact.bank[around] - patches[:, np.newaxis]
        others = np.sqrt(np.einsum("bnc,bnc->bn", differences, differences)).astype(np.float64)
        shift = np.maximum(distances, others.max(axis=1))
        share = np.exp(distances - shift) / np.exp(others - shift[:, np.newaxis]).sum(axis=1)
        scores: Floats = (np.maximum(0.0, 1.0 - share) * distances).astype(np.float32)
        return scores


def _bank_rows(patches: int, ratio: float | None) -> int:
    return min(ceil(_DEFAULT_RATIO * patches), BANK_LIMIT) if ratio is None else ceil(ratio * patches)


def _patches(maps: FeatureMaps, grid: Size | None) -> Floats:
    return concatenate(maps, grid or default_grid(maps), pool=True)
