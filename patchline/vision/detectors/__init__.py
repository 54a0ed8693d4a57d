"""Detectors: fitted on normal pictures, they give each patch of a picture its distance from normal."""

from patchline.runtime.entry_points import class_in, names_in
from patchline.vision.detectors.fapm import Fapm
from patchline.vision.detectors.padim import Padim
from patchline.vision.detectors.patchcore import PatchCore
from patchline.vision.detectors.protocol import Detector
from patchline.wire.errors import MisconfiguredError

DETECTORS: dict[str, type[Detector]] = {
    "patchcore": PatchCore,
    "padim": Padim,
    "fapm": Fapm,
}
"""Detector name -> its class. Other distributions add theirs by the entry points `patchline.detectors`."""

GROUP = "patchline.detectors"


def detector_class(name: str) -> type[Detector]:
    """The class of a detector.

    Raises:
        MisconfiguredError: No detector has this name; names those that exist.
    """
    kind: type[Detector] | None = DETECTORS.get(name) or class_in(GROUP, name)
    if kind is None:
        raise MisconfiguredError(
            f"no detector is called {name!r}",
            where="detector",
            remedy=f"use one of: {', '.join([*DETECTORS, *names_in(GROUP)])}",
        )
    return kind
