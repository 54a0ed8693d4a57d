"""PatchCore: distances to a memory bank of normal patches.

Roth et al., "Towards Total Recall in Industrial Anomaly Detection", CVPR 2022; sections and equations are its.
"""

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Annotated, Any, ClassVar, Literal, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from vision import anomaly_map
from vision.arrays import FeatureMaps, Floats, Progress, Size
from vision.coreset import greedy_k_centre
from vision.detectors.protocol import Embedded, Parameter, PatchScores, Rendering, all_finite, read_parameters
from vision.embedding import concatenate
from vision.neighbours import ExactSearch
from wire_contract.errors import MisconfiguredError

BANK_LIMIT = 5000
"""Patches beyond which the default bank does not grow with the pictures, so that the search takes 20 ms, not 60."""

_DEFAULT_RATIO = 0.1
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
        sigma: Of the anomaly map's blur, in pixels.
        seed: Of the coreset; given as `seed` to `fit`.
    """

    coreset_ratio: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    projection_dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = 64
    neighbours: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 9
    grid: tuple[Annotated[int, msgspec.Meta(ge=1)], Annotated[int, msgspec.Meta(ge=1)]] | None = None
    bank_dtype: Literal["float16", "float32"] = "float32"
    sigma: Annotated[float, msgspec.Meta(ge=0)] = 4.0
    seed: int = 0


class PatchCore:
    """PatchCore with exact search; see `PatchCoreParameters` for what can be chosen."""

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
        self._search = ExactSearch(bank.astype(np.float32, copy=False))

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
        patches = [_patches(maps, settings.grid) for maps in batches]
        if not patches:
            raise MisconfiguredError("there is no normal picture to learn from", remedy="give at least one")
        vectors = np.concatenate([batch.reshape(-1, batch.shape[-1]) for batch in patches])
        patches.clear()  # the vectors are a copy, and both together may be gigabytes
        chosen = greedy_k_centre(
            vectors,
            _bank_rows(len(vectors), settings.coreset_ratio),
            seed=seed,
            projection_dimensions=settings.projection_dimensions,
            on_progress=on_progress,
        )
        bank = vectors[np.sort(chosen)].astype(settings.bank_dtype)
        return cls(bank, settings)

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
        """Each patch's distance to the bank (eq. 6) and the picture's re-weighted score (eq. 7)."""
        patches = embedded[_PATCH]
        count, rows, columns, channels = patches.shape
        distances = np.empty((count, rows * columns), dtype=np.float32)
        scores = np.empty(count, dtype=np.float32)
        for index, vectors in enumerate(patches.reshape(count, rows * columns, channels)):
            nearest, indices = self._search.query(vectors, 1)
            distances[index] = nearest[:, 0]
            farthest = int(np.argmax(nearest[:, 0]))
            scores[index] = self._score(vectors[farthest], float(nearest[farthest, 0]), int(indices[farthest, 0]))
        return PatchScores(distances.reshape(count, rows, columns), scores)

    def render(self, patch_scores: PatchScores, size: Size) -> Rendering:
        """Anomaly maps of a size; the scores are those of the search."""
        maps = anomaly_map.render(patch_scores.patch, size, sigma=self._parameters.sigma)
        return Rendering(maps, patch_scores.image)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The memory bank, `(N, C)`."""
        return {_BANK: self._bank}

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

    def _score(self, patch: Floats, distance: float, row: int) -> float:
        """Eq. 7: the winner's distance, times one less its share in the soft-max over its neighbourhood of the bank."""
        if self._parameters.neighbours == 0 or distance == 0.0:
            return distance
        _, around = self._search.query(self._search.bank[row : row + 1], self._parameters.neighbours)
        differences = self._search.bank[around[0]] - patch
        others = np.sqrt(np.einsum("nc,nc->n", differences, differences)).astype(np.float64)
        shift = max(distance, float(others.max()))
        share = np.exp(distance - shift) / np.exp(others - shift).sum()
        return float(max(0.0, 1.0 - share) * distance)


def _bank_rows(patches: int, ratio: float | None) -> int:
    return min(ceil(_DEFAULT_RATIO * patches), BANK_LIMIT) if ratio is None else ceil(ratio * patches)


def _patches(maps: FeatureMaps, grid: Size | None) -> Floats:
    return concatenate(maps, grid or _default_grid(maps), pool=True)


def _default_grid(maps: FeatureMaps) -> Size:
    sizes = sorted((array.shape[2], array.shape[3]) for array in maps.values())
    rows, columns = sizes[0]
    return max(size for size in sizes if size[0] <= 2 * rows and size[1] <= 2 * columns)
