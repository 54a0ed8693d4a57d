"""A twill fabric, wound past the camera."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from patchline.pictures.products.camera import OVERSAMPLING, Exposure, Light, gathered
from patchline.pictures.products.protocol import Drawing, Pixels, Plane, Region
from patchline.pictures.products.texture import noise, smoothstep

_WARP = np.array([0.105, 0.165, 0.245], dtype=np.float32)
_WEFT = np.array([0.50, 0.485, 0.44], dtype=np.float32)
_DEEP = np.array([0.034, 0.036, 0.042], dtype=np.float32)
_THREADS = 34
"""Across the picture's shorter side."""
_CRIMP = 0.42
"""How far a thread rises and sinks, in thread widths."""
_REPEAT = 4
"""Threads after which the twill repeats: over two, under two."""
_LAMP = np.array([-0.50, -0.62, 0.60], dtype=np.float32)


@dataclass(frozen=True)
class _Stretch:
    """A length of one warp thread: which thread, and from which weft thread to which."""

    thread: int
    first: float
    last: float


@dataclass(frozen=True)
class _Cloth:
    """The fabric as laid out in the picture: for each point the warp and weft thread and the height of both."""

    u: Plane
    v: Plane
    warp: Plane
    weft: Plane

    def along(self, stretch: _Stretch) -> Plane:
        """1 on a stretch of a warp thread, wherever it runs above or below."""
        on_thread = np.floor(self.u) == stretch.thread
        return np.asarray(on_thread & (self.v > stretch.first) & (self.v < stretch.last), dtype=np.float32)

    def without(self, stretch: _Stretch) -> "_Cloth":
        """The fabric with a stretch of thread pulled out: what lay under it has nothing to rest on."""
        gone = self.along(stretch)
        return _Cloth(self.u, self.v, self.warp - 3 * gone, self.weft - gone * np.clip(0.10 - self.weft, 0, 0.30))


@dataclass(frozen=True)
class _Scene:
    """One view of the fabric.

    Attributes:
        shift: Of the threads, in thread widths.
        seed: Of distortion, yarn and fuzz.
        exposure: The shot.
    """

    shift: tuple[float, float]
    seed: int
    exposure: Exposure

    def render(self, size: tuple[int, int], gap: _Stretch | None = None) -> Pixels:
        rng = np.random.default_rng(self.seed)
        cloth = self.laid(rng, size)
        if gap is not None:
            cloth = cloth.without(gap)
        return self.exposure.take(gathered(_woven(rng, cloth)))

    def laid(self, rng: np.random.Generator, size: tuple[int, int]) -> _Cloth:
        """Where the threads run: pulled a little out of their grid, thicker here and thinner there."""
        large = (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING)
        pitch = min(large) / _THREADS
        y = np.arange(large[0], dtype=np.float32)[:, None] / np.float32(pitch) + np.float32(self.shift[1])
        x = np.arange(large[1], dtype=np.float32)[None, :] / np.float32(pitch) + np.float32(self.shift[0])
        u = x + 0.10 * noise(rng, large, pitch * 7) + 0.035 * noise(rng, large, (pitch * 3, pitch))
        v = y + 0.10 * noise(rng, large, pitch * 7) + 0.035 * noise(rng, large, (pitch, pitch * 3))
        across, down = u - np.floor(u) - 0.5, v - np.floor(v) - 0.5
        turn = np.float32(2 * np.pi / _REPEAT)
        warp = _CRIMP * np.cos((v + np.floor(u) - 1.0) * turn) - 1.7 * across * across
        weft = -_CRIMP * np.cos((u + np.floor(v) - 1.0) * turn) - 1.7 * down * down
        return _Cloth(u, v, warp, weft)

    def cover(self, size: tuple[int, int], stretch: _Stretch) -> Plane:
        """How much of each pixel shows a stretch of thread."""
        cloth = self.laid(np.random.default_rng(self.seed), size)
        seen = cloth.along(stretch) * (cloth.warp > cloth.weft)
        return gathered(seen)


def _woven(rng: np.random.Generator, cloth: _Cloth) -> Light:
    """Twisted yarn under a low lamp."""
    size = cloth.warp.shape
    on_top = smoothstep(-0.02, 0.02, cloth.warp - cloth.weft)
    height = np.maximum(cloth.warp, cloth.weft)
    across, down = np.floor(cloth.u).astype(np.intp), np.floor(cloth.v).astype(np.intp)
    yarns = 1 + 0.07 * rng.standard_normal((2, 512), dtype=np.float32)
    fuzz = noise(rng, (size[0], size[1]), 2.2)
    warp_twist = np.sin((cloth.v * 2.6 + cloth.u * 3.4) * np.float32(2 * np.pi) + fuzz)
    weft_twist = np.sin((cloth.u * 2.6 + cloth.v * 3.4) * np.float32(2 * np.pi) + fuzz)
    warp_tone = yarns[0][across % 512] * (1 + 0.10 * warp_twist + 0.06 * fuzz)
    weft_tone = yarns[1][down % 512] * (1 + 0.08 * weft_twist + 0.05 * fuzz)
    pitch = min(size) / _THREADS
    slope_y, slope_x = np.gradient(height * np.float32(pitch * 0.55))
    bulge = (_LAMP[2] - slope_x * _LAMP[0] - slope_y * _LAMP[1]) / np.sqrt(1 + slope_x**2 + slope_y**2)
    depth = smoothstep(-0.75, 0.25, height)
    shade = (0.30 + 0.95 * np.clip(bulge, 0, 1)) * (0.25 + 0.75 * depth)
    cloth_colour = (on_top * warp_tone)[..., None] * _WARP + ((1 - on_top) * weft_tone)[..., None] * _WEFT
    below = smoothstep(-0.85, -0.60, height)[..., None]
    return np.asarray((cloth_colour * below + _DEEP * (1 - below)) * shade[..., None], dtype=np.float32)


class Weave:
    """A blue and white twill."""

    name = "weave"
    defects = ("stain", "missing_part", "wrong_colour")

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> Drawing:
        """See `Product.draw`."""
        scene = _Scene(
            shift=(rng.uniform(4, 8), rng.uniform(4, 8)), seed=int(rng.integers(2**63)), exposure=Exposure.vary(rng)
        )
        rows, columns = (side / min(size) * _THREADS for side in size)

        def stretch(extent: float, rng: np.random.Generator) -> _Stretch:
            length = extent * _THREADS
            first = scene.shift[1] + rng.uniform(0.05 * rows, max(0.05 * rows, 0.95 * rows - length))
            return _Stretch(int(scene.shift[0] + rng.uniform(0.08, 0.92) * columns), first, first + length)

        def pulled(extent: float, rng: np.random.Generator) -> Pixels:
            return scene.render(size, stretch(extent, rng))

        def everywhere() -> Plane:
            return np.ones(size, dtype=np.float32)

        regions = [
            Region("cloth", frozenset({"stain"}), 1.0, everywhere),
            Region("thread", frozenset({"missing_part"}), 1.0, everywhere, pulled),
        ]
        for extent in (0.12, 0.20, 0.30, 0.50, 0.80):
            cover = partial(scene.cover, size, stretch(extent, rng))
            regions.append(Region("thread", frozenset({"wrong_colour"}), extent, cover))
        return Drawing(scene.render(size), tuple(regions))
