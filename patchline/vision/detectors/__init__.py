"""Detectors: fitted on normal pictures, they give each patch of a picture its distance from normal."""

from patchline.vision.detectors.fapm import Fapm
from patchline.vision.detectors.padim import Padim
from patchline.vision.detectors.patchcore import PatchCore
from patchline.vision.detectors.protocol import Detector

DETECTORS: dict[str, type[Detector]] = {
    "patchcore": PatchCore,
    "padim": Padim,
    "fapm": Fapm,
}
