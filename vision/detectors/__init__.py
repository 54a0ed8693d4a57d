"""Detectors: fitted on normal pictures, they give each patch of a picture its distance from normal."""

from vision.detectors.fapm import Fapm
from vision.detectors.padim import Padim
from vision.detectors.patchcore import PatchCore
from vision.detectors.protocol import Detector

DETECTORS: dict[str, type[Detector]] = {
    "patchcore": PatchCore,
    "padim": Padim,
    "fapm": Fapm,
}
