"""PaDiM: each place of the picture has a Gaussian of its own, and a patch is as anomalous as it is far out in it.

Defard, Setkov, Loesch and Audigier, "PaDiM: a Patch Distribution Modeling Framework for Anomaly Detection and
Localization", ICPR workshops 2021; sections and equations are its. Not the paper's are the diagonal covariance, the
shrinkage, and that layers are aligned bilinearly where its code repeats the coarser ones.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from patchline.vision.detectors.fitted import (
    AtLeastOne,
    DetectorParameters,
    FittedDetector,
    no_picture,
    refuse_other_maps,
    wrong_tensor,
)
from patchline.vision.detectors.padim_gaussians import Gaussians, learn
from patchline.vision.detectors.protocol import Embedded, PatchScores, all_finite, read_parameters
from patchline.vision.detectors.scoring import picture_scores
from patchline.vision.nearest.embedding import concatenate, default_grid
from patchline.vision.pixels.arrays import FeatureMaps, Floats, Progress, Size

_PATCH = "patch"


class PadimParameters(DetectorParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of `Padim`, beside those of every detector.

    The paper's `grid`, that of the finest tap, takes four times the room and time and found no more defects.

    Attributes:
        channels: How many channels are chosen at random (section III.B: 100 of ResNet-18, 550 of WideResNet-50); all
            where there are fewer, or for None.
        covariance: Whether channels of a place vary together, or each by itself, which takes far less room.
        shrinkage: Share by which each covariance is drawn towards a sphere; 0 is the paper's. None takes what the
            number of pictures asks for, which is much of it where they are few.
        regularisation: The epsilon of eq. 1, added to the variance in every direction.
        score: How a picture is scored; "max", its largest distance, is the paper's.
    """

    channels: AtLeastOne | None = 100
    covariance: Literal["full", "diagonal"] = "full"
    shrinkage: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    regularisation: Annotated[float, msgspec.Meta(gt=0)] = 0.01
    score: Literal["max", "top", "contrast"] = "max"


class Padim(FittedDetector[PadimParameters]):
    """PaDiM; see `PadimParameters` for what can be chosen.

    Places are fixed, so pictures must be of the size, or `grid` given, that the detector was fitted on.
    """

    name: ClassVar[str] = "padim"
    tuning_options: ClassVar[tuple[dict[str, Any], ...]] = ({"covariance": "diagonal"},)
    score_modes: ClassVar[tuple[str, ...]] = ("max", "top", "contrast")
    examples: ClassVar[dict[str, Any]] = {
        "channels": 5,
        "covariance": "diagonal",
        "shrinkage": 0.0,
        "regularisation": 1.0,
        "grid": (7, 6),
        "score": "top",
        "sigma": 1.0,
        "seed": 1,
    }

    def __init__(self, chosen: NDArray[np.bool_], gaussians: Gaussians, parameters: PadimParameters) -> None:
        super().__init__(parameters)
        self._chosen, self._gaussians = chosen, gaussians

    @classmethod
    def fit(
        cls,
        batches: Iterable[FeatureMaps],
        *,
        seed: int,
        on_progress: Progress | None = None,
        **parameters: Any,
    ) -> Self:
        """Choose channels, and learn the mean and covariance of every place (sections III.A and III.B).

        Raises:
            MisconfiguredError: A parameter is unknown or out of range, or there is no picture.
        """
        settings = read_parameters(cls.name, {**parameters, "seed": seed}, PadimParameters)
        chosen: NDArray[np.bool_] | None = None
        patches = []
        for maps in batches:
            chosen = _choice(_channels(maps), settings) if chosen is None else chosen
            patches.append(_patches(maps, chosen, settings.grid))
        if chosen is None:
            raise no_picture()
        gaussians = learn(
            np.concatenate(patches),
            diagonal=settings.covariance == "diagonal",
            shrinkage=settings.shrinkage,
            regularisation=settings.regularisation,
            on_progress=on_progress,
        )
        return cls(chosen, gaussians, settings)

    def embed(self, maps: FeatureMaps) -> Embedded:
        """The chosen channels of all taps, aligned to one grid and side by side.

        Raises:
            MisconfiguredError: The taps have other channels, or the grid other places, than the detector was fitted on.
        """
        refuse_other_maps("channels", _channels(maps), len(self._chosen), maps)
        patches = _patches(maps, self._chosen, self._parameters.grid)
        refuse_other_maps("rows and columns of places", patches.shape[1:3], self._gaussians.grid, maps)
        return {_PATCH: patches}

    def search(self, embedded: Embedded) -> PatchScores:
        """Each patch's Mahalanobis distance (eq. 2), and the largest as a picture's score (section III.C)."""
        patch = self._gaussians.distances(embedded[_PATCH])
        score = self._parameters.score
        return PatchScores(patch, picture_scores(patch, "peak" if score == "max" else score))

    def tensors(self) -> dict[str, NDArray[Any]]:
        """`chosen` `(C,)`, whether each channel is used; `mean` and `whitening` of every place."""
        return {
            "chosen": self._chosen.astype(np.uint8),
            "mean": self._gaussians.mean,
            "whitening": self._gaussians.whitening,
        }

    @classmethod
    def restore(cls, tensors: Mapping[str, NDArray[Any]], parameters: Mapping[str, Any]) -> Self:
        """The detector that gave these `tensors` and `parameters`.

        Raises:
            MisconfiguredError: A tensor is missing or not of its kind, or a parameter is unknown or wrong.
        """
        settings = read_parameters(cls.name, parameters, PadimParameters)
        chosen = tensors.get("chosen", np.empty(0)).astype(np.bool_)
        mean, whitening = tensors.get("mean", np.empty(0)), tensors.get("whitening", np.empty(0))
        size = int(chosen.sum())
        row = size if settings.covariance == "diagonal" else size * (size + 1) // 2
        fits = mean.shape[2:] == (size,) and whitening.shape == (*mean.shape[:2], row)
        if (
            not fits
            or {mean.dtype, whitening.dtype} != {np.dtype(np.float32)}
            or not (all_finite(mean) and all_finite(whitening))
        ):
            raise wrong_tensor(cls.name, "chosen, mean or whitening")
        return cls(chosen, Gaussians(mean, whitening), settings)


def _channels(maps: FeatureMaps) -> int:
    return sum(array.shape[1] for array in maps.values())


def _choice(total: int, settings: PadimParameters) -> NDArray[np.bool_]:
    chosen = np.zeros(total, dtype=np.bool_)
    count = min(total, settings.channels or total)
    chosen[np.random.default_rng(settings.seed).choice(total, count, replace=False)] = True
    return chosen


def _patches(maps: FeatureMaps, chosen: NDArray[np.bool_], grid: Size | None) -> Floats:
    """The chosen channels only, so that no others are resampled."""
    ends = np.cumsum([array.shape[1] for array in maps.values()])[:-1]
    selected = {tap: maps[tap][:, kept] for tap, kept in zip(maps, np.split(chosen, ends), strict=True) if kept.any()}
    return concatenate(selected, grid or default_grid(maps))
