"""What all detectors share: reading parameters, rendering anomaly maps, and the errors for other maps and tensors."""

from typing import Annotated, Any, ClassVar, Generic, TypeVar

import msgspec

from patchline.vision.detectors.protocol import Parameter, PatchScores, Rendering
from patchline.vision.pixels.arrays import FeatureMaps, Size
from patchline.vision.scoring import anomaly_map
from patchline.wire.errors import MisconfiguredError

AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]


class DetectorParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters that every detector has.

    Attributes:
        grid: Rows and columns of patches. By default those of the finest tap that has at most twice the rows and
            columns of the coarsest: a finer grid costs four times as much and mostly holds interpolated values.
        sigma: Of the anomaly map's blur, in pixels.
        seed: Of everything random; given as `seed` to `fit`.
    """

    grid: tuple[AtLeastOne, AtLeastOne] | None = None
    sigma: Annotated[float, msgspec.Meta(ge=0)] = 4.0
    seed: int = 0


P = TypeVar("P", bound=DetectorParameters)


class FittedDetector(Generic[P]):
    """The part of `Detector` that is the same for each: it depends on the parameters only."""

    tuning_options: ClassVar[tuple[dict[str, Any], ...]] = ()
    score_modes: ClassVar[tuple[str, ...]] = ("max", "peak", "top", "contrast")

    def __init__(self, parameters: P) -> None:
        self._parameters = parameters

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Every parameter as it was fitted, defaults included."""
        fields: dict[str, Parameter] = msgspec.to_builtins(self._parameters)
        return fields

    def render(self, patch_scores: PatchScores, size: Size) -> Rendering:
        """Anomaly maps of a size; the scores are those of the search."""
        maps = anomaly_map.render(patch_scores.patch, size, sigma=self._parameters.sigma)
        return Rendering(maps, patch_scores.image)

    def facts(self) -> dict[str, float]:
        """Nothing, unless the detector says more."""
        return {}


def refuse_other_maps(what: str, found: object, learnt: object, maps: FeatureMaps) -> None:
    """Make sure that feature maps have the form that the detector was fitted on.

    Args:
        what: What is counted.
        found: How many of them these maps have.
        learnt: How many the maps had that were learnt from.
        maps: For the error.

    Raises:
        MisconfiguredError: The two differ.
    """
    if found != learnt:
        raise MisconfiguredError(
            f"there are {found} {what}, and {learnt} were learnt from",
            where=f"taps {', '.join(maps)}",
            remedy="use the backbone, taps and input size that the artifact was commissioned with",
        )


def no_picture() -> MisconfiguredError:
    """The error for a fit without any picture."""
    return MisconfiguredError("there is no normal picture to learn from", remedy="give at least one")


def wrong_tensor(detector: str, tensor: str) -> MisconfiguredError:
    """The error for an artifact whose tensors cannot be used."""
    return MisconfiguredError(
        "a tensor is missing or not of its kind",
        where=f"detector {detector}, tensor {tensor}",
        remedy="commission the station again",
    )
