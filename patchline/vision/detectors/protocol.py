"""What every detector promises.

A higher score is more anomalous. Scores are distances in raw units, never rescaled by picture or by batch, so a picture
scores the same alone as in a batch. A detector is born fitted: `fit` and `restore` are the only ways to get one.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol, Self, TypeAlias, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from patchline.vision.pixels.arrays import FeatureMaps, Floats, Progress, Size
from patchline.wire.errors import MisconfiguredError

Parameter: TypeAlias = bool | int | float | str | list[int] | list[float] | list[str] | None
"""What a parameter may be: what JSON can carry in an artifact's header."""

Embedded: TypeAlias = dict[str, Floats]
"""What `embed` makes of feature maps and `search` reads: name -> `(B, rows, columns, C)`; the detector names them."""


class PatchScores(msgspec.Struct, frozen=True):
    """How far the patches of a batch of pictures are from normal.

    Attributes:
        patch: `(B, gh, gw)` float32, the distance of each patch, in raw units.
        image: `(B,)` float32, the raw score of each picture, as far as it comes from the patches.
    """

    patch: Floats
    image: Floats


class Rendering(msgspec.Struct, frozen=True):
    """What a person and the judge see of a batch.

    Attributes:
        maps: `(B, H, W)` float32, the anomaly maps, in raw units.
        scores: `(B,)` float32, the anomaly scores of the pictures, in raw units.
    """

    maps: Floats
    scores: Floats


class Detector(Protocol):
    """A fitted detector.

    Attributes:
        name: Its key in `DETECTORS` and in artifacts.
        tuning_options: Parameters that commissioning tries beside the defaults; they change what is learnt.
        score_modes: Values of the parameter `score` that commissioning tries; the first is the default.
        examples: For each parameter that changes scores, a value other than its default.
    """

    name: ClassVar[str]
    tuning_options: ClassVar[tuple[dict[str, Any], ...]]
    score_modes: ClassVar[tuple[str, ...]]
    examples: ClassVar[dict[str, Any]]

    @classmethod
    def fit(
        cls,
        batches: Iterable[FeatureMaps],
        *,
        seed: int,
        on_progress: Progress | None = None,
        **parameters: Any,
    ) -> Self:
        """Learn what normal is.

        Args:
            batches: Feature maps of normal pictures, batch by batch, all with the same taps and sizes; read once.
            seed: Of everything random; the same seed gives the same tensors, byte for byte.
            on_progress: Called with steps done and steps in all.
            **parameters: The detector's own, see its class.

        Raises:
            MisconfiguredError: A parameter is unknown or out of range, or there is no picture.
        """
        ...

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Every parameter as it was fitted, defaults included; together with `tensors` it is the whole detector."""
        ...

    def embed(self, maps: FeatureMaps) -> Embedded:
        """Feature maps in the form that `search` reads; the maps are not changed.

        Raises:
            MisconfiguredError: They are not of the taps or channels that the detector was fitted on.
        """
        ...

    def search(self, embedded: Embedded) -> PatchScores:
        """How far each patch is from normal."""
        ...

    def render(self, patch_scores: PatchScores, size: Size) -> Rendering:
        """Anomaly maps of a size, and the pictures' scores."""
        ...

    def tensors(self) -> dict[str, NDArray[Any]]:
        """What was learnt, for an artifact."""
        ...

    def facts(self) -> dict[str, float]:
        """What the fit has found out and commissioning shows, name -> number.

        Empty where there is nothing to tell; of a detector that was restored, what its tensors still say.
        """
        ...

    @classmethod
    def restore(cls, tensors: Mapping[str, NDArray[Any]], parameters: Mapping[str, Any]) -> Self:
        """The detector that gave these `tensors` and `parameters`.

        Raises:
            MisconfiguredError: A tensor or parameter is missing, unknown, or of the wrong kind.
        """
        ...


P = TypeVar("P", bound=msgspec.Struct)


def read_parameters(detector: str, parameters: Mapping[str, Any], kind: type[P]) -> P:
    """Keyword parameters, or those of an artifact's header, as a detector's own struct; numbers may be given as text.

    Raises:
        MisconfiguredError: One is unknown or out of range; names those that exist.
    """
    known = [field.name for field in msgspec.structs.fields(kind)]
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise MisconfiguredError(
            f"{detector} has no parameter {', '.join(map(repr, unknown))}",
            where=f"detector {detector}",
            remedy=f"its parameters are {', '.join(known)}",
        )
    try:
        return msgspec.convert(dict(parameters), kind, strict=False)
    except msgspec.ValidationError as error:
        raise MisconfiguredError(
            f"a parameter of {detector} is wrong: {error}", where=f"detector {detector}", remedy="correct its value"
        ) from error


def all_finite(array: NDArray[Any]) -> bool:
    """Whether every number is one; a single sum tells, since NaN and infinity survive it."""
    return bool(np.isfinite(array.sum(dtype=np.float64)))
