"""What was chosen at commissioning by planted defects, as the header of an artifact keeps it.

Commissioning has only normal pictures, so defects are planted into them. A choice says what is gained or lost on such
defects, not on those that the line will have.
"""

from typing import Any

import msgspec


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A codec, an input size or options of a detector that were tried.

    Attributes:
        parameters: What differs from the reference.
        image_auroc: Normal pictures against those with a planted defect, by detectors that were fitted on neither.
        gain: How much this is above the image AUROC of the reference; a loss is negative.
        interval: Of the gain, 95 %, from a paired bootstrap of the pictures.
        margin: What the whole interval must lie above.
        payload_bytes: Mean of encoded normal pictures; None where no codec was tried.
        pixels: Of a picture, in times of those of the input size asked for.
    """

    parameters: dict[str, Any]
    image_auroc: float
    gain: float
    interval: tuple[float, float]
    margin: float
    payload_bytes: float | None = None
    pixels: float = 1.0

    @property
    def convinces(self) -> bool:
        """Whether the whole interval of the gain lies above the margin."""
        return self.interval[0] > self.margin

    @property
    def description(self) -> str:
        """What was tried, its gain and its cost."""
        options = " ".join(f"{name}={value}" for name, value in self.parameters.items())
        size = f", {self.payload_bytes / 1000:.2f} kB" if self.payload_bytes else ""
        pixels = "" if self.pixels == 1 else f" for {self.pixels:.2f} times the pixels"
        low, high = self.interval
        return f"{options}{size} gains {self.gain:+.4f} image AUROC ({low:+.4f} to {high:+.4f}){pixels}"


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Why a codec, an input size or the options of a detector are as they are.

    Attributes:
        chosen: The parameters that were taken; empty where those asked for were kept.
        reason: One sentence.
        reference: What the gains are measured against.
        reference_auroc: Its image AUROC.
        pictures: Normal ones.
        planted: Pictures with a planted defect.
        tried: Options and sizes by gain less margin, best first; codecs by payload, up to the one that was taken.
    """

    chosen: dict[str, Any]
    reason: str
    reference: str = ""
    reference_auroc: float = 0.0
    pictures: int
    planted: int
    tried: tuple[Tried, ...] = ()
