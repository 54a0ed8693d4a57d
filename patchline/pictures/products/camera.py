"""The camera over the line: from light to pixels, with lens, exposure and sensor noise."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from patchline.pictures.products.protocol import Pixels

OVERSAMPLING = 2
"""What has edges is computed at this many times the picture's resolution."""

_TABLE_SIZE = 1 << 14
_LEVELS = np.arange(256) / 255
_DARK_LEVEL, _DARK_LIGHT = 0.04045, 0.0031308
"""Below these, sRGB is a straight line."""
_TO_LINEAR = np.where(_LEVELS <= _DARK_LEVEL, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)
_LIGHT = np.arange(_TABLE_SIZE) / (_TABLE_SIZE - 1)
_TO_SRGB = np.round(
    np.where(_LIGHT <= _DARK_LIGHT, _LIGHT * 12.92, 1.055 * np.maximum(_LIGHT, 1e-9) ** (1 / 2.4) - 0.055) * 255
).astype(np.uint8)

Light = NDArray[np.float32]
"""`(H, W, 3)`, linear in the number of photons; 1 is where the sensor is full."""


def light_of(pixels: Pixels) -> Light:
    """The light that makes a camera write these pixels (IEC 61966-2-1)."""
    return _TO_LINEAR[pixels]


def pixels_of(light: Light) -> Pixels:
    """The pixels a camera writes for this light; what is brighter than the sensor can hold is white."""
    return _TO_SRGB[(np.clip(light, 0, 1) * (_TABLE_SIZE - 1)).astype(np.uint16)]


def gathered(fine: NDArray[np.float32]) -> NDArray[np.float32]:
    """A field `(2H, 2W, ...)` at the oversampled resolution, as the picture's pixels gather it: `(H, W, ...)`."""
    pairs = fine[0::2] + fine[1::2]
    return (pairs[:, 0::2] + pairs[:, 1::2]) * np.float32(1 / OVERSAMPLING**2)


@dataclass(frozen=True)
class Exposure:
    """One shot's settings, drawn once and used for every version of the picture, so that only the part differs.

    Attributes:
        gain: Red, green and blue; flicker of the lamp and drift of the white balance.
        slope: Change of brightness from left to right and from top to bottom.
        seed: Of the sensor's noise.
    """

    gain: tuple[float, float, float]
    slope: tuple[float, float]
    seed: int

    @classmethod
    def vary(cls, rng: np.random.Generator) -> Self:
        """Settings as they drift from shot to shot."""
        red, level, blue = 1 + rng.normal(0, (0.006, 0.018, 0.008))
        across, down = rng.normal((0.05, 0.04), 0.02)
        return cls((red * level, level, blue * level), (across, down), int(rng.integers(2**63)))

    def take(self, scene: Light) -> Pixels:
        """The picture of a scene."""
        height, width = scene.shape[:2]
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
        falloff = (1 - self.slope[0] * x - self.slope[1] * y) * (1 - 0.07 * (x * x + y * y))
        light = scene * (falloff[..., None] * np.array(self.gain)).astype(np.float32)
        grain = np.random.default_rng(self.seed).standard_normal(light.shape, dtype=np.float32)
        light += grain * np.sqrt(np.maximum(light, 0) * np.float32(1.1e-4) + np.float32(2e-6))
        return pixels_of(light)
