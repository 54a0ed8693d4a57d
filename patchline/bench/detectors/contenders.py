"""The rows of the benchmark: detectors with the parameters they are entered with."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from patchline.bench.detectors.ablation import ABLATION
from patchline.vision.detectors.protocol import Parameter
from patchline.wire.errors import MisconfiguredError

YARDSTICK = "patchcore-10%-brute-force"
"""PatchCore-10 % whose search measures every distance, as its authors' does: what speed is compared with."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A row.

    Attributes:
        detector: Its key in `DETECTORS`.
        parameters: Those that are not the detector's defaults.
        brute_force: Whether the search measures every distance, by faiss' flat index.
        paper: Which published figures stand beside it, a key of `papers.PAPERS`; empty for none.
    """

    detector: str
    parameters: dict[str, Parameter] = field(default_factory=dict)
    brute_force: bool = False
    paper: str = ""


CONTENDERS: dict[str, Contender] = {
    "fapm": Contender(detector="fapm", paper="fapm"),
    "fapm-5%": Contender(detector="fapm", parameters={"coreset_ratio": 0.05, "score": "peak"}),
    "patchcore-1%": Contender(detector="patchcore", parameters={"coreset_ratio": 0.01}),
    "patchcore-10%": Contender(detector="patchcore", parameters={"coreset_ratio": 0.1}, paper="patchcore-10%"),
    "patchcore-25%": Contender(detector="patchcore", parameters={"coreset_ratio": 0.25}, paper="patchcore"),
    YARDSTICK: Contender(
        detector="patchcore", parameters={"coreset_ratio": 0.1}, brute_force=True, paper="patchcore-10%"
    ),
    "padim": Contender(detector="padim", paper="padim"),
    "padim-diagonal": Contender(detector="padim", parameters={"covariance": "diagonal"}),
}
"""What is measured by default.

`patchcore` without a ratio keeps 5,000 patches at most, between the first two. `fapm-5%` is FAPM for speed: half the
vectors and no re-weighting by neighbours, its search as exact as the other's.
"""

ABLATIONS: dict[str, Contender] = {
    f"fapm-{letter}": Contender(detector="fapm", parameters=parameters, paper=f"fapm-{letter}")
    for letter, parameters in ABLATION.items()
}
"""The rows of FAPM's table 2; E is `fapm` itself, measured again beside the others."""


def chosen(names: Sequence[str], *, ablation: bool) -> dict[str, Contender]:
    """The contenders of these names or detectors, in the table's order; the default ones where none is named.

    Raises:
        MisconfiguredError: A name is none of these.
    """
    known = CONTENDERS | ABLATIONS
    detectors = {contender.detector for contender in CONTENDERS.values()}
    for name in names:
        if name not in known and name not in detectors:
            raise MisconfiguredError(
                f"{name!r} is not measured here",
                where="--detector",
                remedy=f"use some of: {', '.join(dict.fromkeys([*sorted(detectors), *known]))}",
            )
    taken = {
        name: contender
        for name, contender in known.items()
        if name in names or (name in CONTENDERS and (not names or contender.detector in names))
    }
    return taken | (ABLATIONS if ablation else {})
