"""What can be chosen of FAPM."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from patchline.vision.detectors.fitted import AtLeastOne, DetectorParameters
from patchline.vision.detectors.protocol import read_parameters
from patchline.vision.detectors.scoring import Score
from patchline.vision.nearest.embedding import default_grid
from patchline.vision.pixels.arrays import FeatureMaps
from patchline.wire.errors import MisconfiguredError

CELL_PATCHES = 4
"""Rows and columns of patches of a cell: the paper's 32 pixels at the stride of 8 of its finer layer."""

Adaptive: TypeAlias = Literal["off", "absolute"]


class FapmParameters(DetectorParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of `Fapm`, whose defaults are the paper's method, row E of its table 2.

    The other rows are in `patchline.bench.detectors.ablation`. Layers finer than `grid` are averaged down to it.

    Attributes:
        cells: Rows and columns of cells; fewer where a layer has fewer patches. By default a cell is `CELL_PATCHES`
            patches of the default grid high and wide: the paper's 7x7 of 224x224 pixels, 20x8 of 640x256.
        patch_wise: Whether each cell has a memory of its own.
        layer_wise: Whether each layer has; else they are aligned and put side by side, as in PatchCore.
        coreset_ratio: Share of the normal patches that a memory keeps.
        adaptive: Which cells keep twice as many: none, or those of equation 1.
        adaptive_threshold: The paper's D_th.
        neighbours: Nearest vectors by which the picture's score is re-weighted; 0 leaves it the largest distance.
        layer_weights: One for each layer in the order of the taps; 1 each by default.
        score: How a picture is scored; "max" is the paper's, the layers' largest distances, re-weighted and summed.
        projection_dimensions: Dimensions in which the coreset's distances are measured; None takes all.
    """

    cells: tuple[AtLeastOne, AtLeastOne] | None = None
    patch_wise: bool = True
    layer_wise: bool = True
    coreset_ratio: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.1
    adaptive: Adaptive = "absolute"
    adaptive_threshold: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.5
    neighbours: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 4
    layer_weights: list[Annotated[float, msgspec.Meta(ge=0)]] | None = None
    score: Score = "max"
    projection_dimensions: AtLeastOne | None = 64


def read(parameters: Mapping[str, Any]) -> FapmParameters:
    """Keyword parameters, or those of an artifact's header.

    Raises:
        MisconfiguredError: One is unknown or out of range.
    """
    settings = read_parameters("fapm", parameters, FapmParameters)
    if settings.neighbours == 1:
        raise MisconfiguredError(
            "a re-weighting by one neighbour makes every score zero",
            where="detector fapm, parameter neighbours",
            remedy="give 0 for no re-weighting, or at least 2",
        )
    return settings


def resolved(settings: FapmParameters, maps: FeatureMaps) -> FapmParameters:
    """The parameters with the grid and cells that these feature maps ask for, where they were left open."""
    usual = default_grid(maps)
    rows, columns = (max(1, round(length / CELL_PATCHES)) for length in usual)
    return msgspec.structs.replace(settings, grid=settings.grid or usual, cells=settings.cells or (rows, columns))
