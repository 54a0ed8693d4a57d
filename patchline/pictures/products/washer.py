"""A turned steel washer on a rubber belt."""

from dataclasses import dataclass

import numpy as np

from patchline.pictures.products.camera import OVERSAMPLING, Exposure, Light, gathered
from patchline.pictures.products.protocol import Drawing, Pixels, Plane, Region
from patchline.pictures.products.texture import blurred, layered, noise, smoothstep

_STEEL = np.array([0.76, 0.77, 0.79], dtype=np.float32)
_BELT = np.array([0.030, 0.034, 0.036], dtype=np.float32)
_HALF_KEY = np.array([-0.34, -0.44], dtype=np.float32)
"""Half-way vector between the key light, upper left, and the camera: its part in the picture's plane."""
_HALF_FILL = np.array([0.52, -0.10], dtype=np.float32)
_CHAMFER = 0.017
_RINGS = 512


@dataclass(frozen=True)
class _Bite:
    """A piece broken out of the rim: its direction in radians, and its width."""

    direction: float
    extent: float
    seed: int


@dataclass(frozen=True)
class _Scene:
    """One washer on the belt; lengths are shares of the picture's shorter side."""

    centre: tuple[float, float]
    outer: float
    inner: float
    marks: Plane
    seed: int
    exposure: Exposure

    def render(self, size: tuple[int, int], bite: _Bite | None = None) -> Pixels:
        rng = np.random.default_rng(self.seed)
        grid = self.polar(size)
        scale = min(size) * OVERSAMPLING
        metal, broken = self._silhouette(grid, scale, bite)
        face = self._face(rng, grid)
        if bite is not None:
            face = face * (1 - broken[..., None]) + _fracture(bite, face.shape[:2]) * broken[..., None]
        cover = gathered(metal)
        scene = _belt(rng, size, min(size))
        scene *= ((1 - 0.82 * _shadow(cover, min(size))) * (1 - cover))[..., None]
        return self.exposure.take(scene + gathered(face * metal[..., None]))

    def polar(self, size: tuple[int, int]) -> "_Polar":
        """Every point of the oversampled picture, seen from the washer's centre."""
        height, width = size[0] * OVERSAMPLING, size[1] * OVERSAMPLING
        scale = np.float32(min(height, width))
        y = (np.arange(height, dtype=np.float32)[:, None] - height / 2) / scale - self.centre[1]
        x = (np.arange(width, dtype=np.float32)[None, :] - width / 2) / scale - self.centre[0]
        radius = np.sqrt(x * x + y * y, dtype=np.float32) + np.float32(1e-6)
        return _Polar(radius, (x / radius).astype(np.float32), (y / radius).astype(np.float32))

    def _silhouette(self, grid: "_Polar", scale: int, bite: _Bite | None) -> tuple[Plane, Plane]:
        """How much of each pixel is metal, and how much of that is the fresh face of a fracture."""
        soft = 0.7 / scale
        metal = smoothstep(-soft, soft, self.outer - grid.radius) * smoothstep(-soft, soft, grid.radius - self.inner)
        if bite is None:
            return metal, np.zeros_like(metal)
        dx = grid.radius * grid.cos - self.outer * np.cos(bite.direction)
        dy = grid.radius * grid.sin - self.outer * np.sin(bite.direction)
        ragged = layered(np.random.default_rng(bite.seed), metal.shape, (scale * 0.03, scale * 0.012, scale * 0.005))
        depth = np.sqrt(dx * dx + dy * dy) - bite.extent * (0.5 + 0.06 * ragged)
        return metal * smoothstep(-soft, soft, depth), 1 - smoothstep(0.004, 0.012, depth)

    def _face(self, rng: np.random.Generator, grid: "_Polar") -> Light:
        """Turned steel: fans of light across the marks, a bright chamfer towards the lamp, a dark one away from it."""
        tilt = smoothstep(self.outer - _CHAMFER, self.outer - 0.002, grid.radius)
        tilt -= smoothstep(self.inner + _CHAMFER, self.inner + 0.002, grid.radius)
        ring = np.clip(grid.radius * _RINGS, 0, _RINGS - 1).astype(np.intp)
        marks = self.marks[ring]
        wear = layered(rng, grid.radius.shape, (grid.radius.shape[0] / 5, grid.radius.shape[0] / 14))
        key = _fan(grid, _HALF_KEY, 26) * (1 + 0.16 * marks)
        fill = _fan(grid, _HALF_FILL, 60) * (1 - 0.2 * marks)
        facing = grid.cos * _HALF_KEY[0] + grid.sin * _HALF_KEY[1]
        edge = np.abs(tilt)
        flat = 0.17 + 0.50 * key + 0.20 * fill + 0.018 * marks + 0.012 * wear
        slant = 0.06 + 2.4 * np.clip(facing * np.sign(tilt), 0, 1) ** 2 + 0.06 * np.abs(grid.cos)
        value = flat * (1 - edge) + slant * edge
        return np.asarray(np.maximum(value, 0)[..., None] * _STEEL, dtype=np.float32)


@dataclass(frozen=True)
class _Polar:
    radius: Plane
    cos: Plane
    sin: Plane


def _fan(grid: _Polar, half: Plane, sharpness: float) -> Plane:
    """Light from grooves that run around the centre: bright where they lie across the half-way vector (Kajiya-Kay)."""
    along = grid.cos * half[1] - grid.sin * half[0]
    return np.asarray(np.exp(-np.float32(sharpness) * along * along), dtype=np.float32)


def _belt(rng: np.random.Generator, size: tuple[int, int], scale: int) -> Light:
    """Black rubber with a fabric's imprint, worn along its run, and some dust."""
    y = np.arange(size[0], dtype=np.float32)[:, None]
    x = np.arange(size[1], dtype=np.float32)[None, :]
    pitch = 2 * np.pi / (scale / 64)
    imprint = np.sin(x * pitch + rng.uniform(0, 6)) * np.sin(y * pitch + rng.uniform(0, 6))
    worn = noise(rng, size, (scale / 2, scale / 16)) + noise(rng, size, scale / 6)
    grain = rng.standard_normal(size, dtype=np.float32)
    value = 1 + 0.16 * imprint + 0.05 * worn + 0.12 * grain
    dust = smoothstep(2.9, 3.6, noise(rng, size, scale / 220))
    return np.asarray(np.maximum(value, 0.1)[..., None] * _BELT + (0.10 * dust)[..., None], dtype=np.float32)


def _shadow(metal: Plane, scale: int) -> Plane:
    """Soft shadow of a thick ring under a lamp at the upper left."""
    shift = round(scale * 0.016)
    cast = np.zeros_like(metal)
    cast[shift:, shift:] = metal[:-shift, :-shift]
    return blurred(np.maximum(cast, 0.6 * metal), scale * 0.016, coarse=2)


def _fracture(bite: _Bite, size: tuple[int, int]) -> Light:
    grain = np.random.default_rng(bite.seed + 1).standard_normal(size, dtype=np.float32)
    return np.asarray(np.maximum(0.13 + 0.05 * grain, 0.02)[..., None] * _STEEL, dtype=np.float32)


class Washer:
    """A turned steel washer on a rubber belt, lit from the upper left."""

    name = "washer"
    defects = ("scratch", "dent", "stain", "crack", "missing_part")

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> Drawing:
        """See `Product.draw`."""
        marks = rng.standard_normal(_RINGS, dtype=np.float32)
        marks = marks + np.convolve(rng.standard_normal(_RINGS), np.ones(9) / 3, "same").astype(np.float32)
        scene = _Scene(
            centre=(rng.normal(0, 0.010), rng.normal(0, 0.010)),
            outer=0.375 + rng.normal(0, 0.0012),
            inner=0.168 + rng.normal(0, 0.0008),
            marks=marks,
            seed=int(rng.integers(2**63)),
            exposure=Exposure.vary(rng),
        )

        def face() -> Plane:
            grid = scene.polar(size)
            inside = np.minimum(scene.outer - 0.01 - grid.radius, grid.radius - scene.inner - 0.01)
            return gathered(smoothstep(0, 0.004, inside))

        def broken(extent: float, rng: np.random.Generator) -> Pixels:
            return scene.render(size, _Bite(rng.uniform(0, 2 * np.pi), extent, int(rng.integers(2**62))))

        surface = Region("face", frozenset({"scratch", "dent", "stain", "crack"}), 2 * scene.outer, face)
        rim = Region("rim", frozenset({"missing_part"}), 2 * scene.outer, face, broken)
        return Drawing(scene.render(size), (surface, rim))
