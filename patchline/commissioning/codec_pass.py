"""The good pictures' way through one codec: what of them reaches a detector, and what that takes at the edge.

Pictures are encoded, decoded and embedded here, as the service will do it. For a feature codec it is the other way
round: the backbone runs first, once for all of them, then the codec learns from its maps and they are sent through it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patchline.artifacts.artifact import BackboneKey
from patchline.artifacts.assets import BACKBONE, CODEC, keep
from patchline.artifacts.engines import edge_backbone
from patchline.commissioning.normal_pictures import embed, send_maps_through, send_through, silently
from patchline.commissioning.stopwatch import Stopwatch
from patchline.vision.backbones.engine import Engine
from patchline.vision.codecs.features.asset import open_asset, pack_asset
from patchline.vision.codecs.features.protocol import FeatureCodec
from patchline.vision.codecs.image.protocol import ImageCodec
from patchline.vision.codecs.lookup import feature_codec_class
from patchline.vision.pixels.arrays import FeatureMaps, Progress, Size
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import AssetReference

Phases = Callable[[str], Progress]
"""Gives a named phase's own `on_progress(done, total)`."""


@dataclass(frozen=True)
class Passed:
    """The good pictures as detectors get them after one codec.

    Attributes:
        codec: Its full name.
        maps: `(N, C, h, w)` a tap, of what was decoded.
        payload_bytes: Mean size of an encoded picture.
        backbone: Whose maps they are.
    """

    codec: str
    maps: FeatureMaps
    payload_bytes: float
    backbone: BackboneKey


@dataclass(frozen=True, kw_only=True)
class AssetBudget:
    """How much a station may have to fetch over its uplink before it can encode."""

    limit_bytes: int
    uplink_bytes_per_second: float
    spent: dict[str, int] = field(default_factory=dict)

    def spend(self, what: str, size_bytes: int) -> None:
        """Count a file of the station's ladder.

        Raises:
            MisconfiguredError: All of them together are over the limit.
        """
        self.spent[what] = size_bytes
        total = sum(self.spent.values())
        if total > self.limit_bytes:
            files = ", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in self.spent.items())
            raise MisconfiguredError(
                f"the station would have to fetch {total / 1e6:.2f} MB ({files}), "
                f"{total / self.uplink_bytes_per_second:.0f} s at its uplink; allowed are {self.limit_bytes / 1e6:.2f}",
                where="codec",
                remedy="choose a smaller codec or the packaged backbone, or raise --asset-budget-bytes",
            )


def through_pictures(
    codec: ImageCodec,
    pictures: NDArray[np.uint8],
    *,
    key: BackboneKey,
    engine: Engine,
    watch: Stopwatch,
    phases: Phases,
) -> Passed:
    """Send the pictures through an image codec, and run the backbone on what comes out."""
    with watch("encode"):
        decoded, payload_bytes = send_through(codec, pictures, phases("encode"))
    with watch("embed"):
        maps = embed(engine, decoded, phases("embed"))
    return Passed(codec.name, maps, payload_bytes, key)


class EdgeBench:
    """The edge's backbone at commissioning, with the feature maps of the good pictures.

    Args:
        key: Which backbone.
        pictures: `(N, H, W, 3)` at the input size.
        out: The folder of all artifacts.
        budget: Of what the station must fetch.

    Raises:
        MisconfiguredError: The backbone's file alone is over the budget.
    """

    def __init__(
        self, key: BackboneKey, engine: Engine, pictures: NDArray[np.uint8], *, out: Path, budget: AssetBudget
    ) -> None:
        self._engine, self._pictures, self._out, self._budget = engine, pictures, out, budget
        self._key, self._weights = edge_backbone(key)
        if self._weights is not None:
            budget.spend(f"backbone {key.name}", len(self._weights))
        self._maps: FeatureMaps = {}
        self._fitted: dict[str, tuple[bytes, FeatureCodec]] = {}

    def through(self, name: str, *, seed: int, watch: Stopwatch, phases: Phases) -> Passed:
        """Fit a feature codec to the pictures' maps, and send these through it.

        Raises:
            MisconfiguredError: There is no such codec, or the pictures are too few for it.
        """
        kind, parameter = feature_codec_class(name)
        with watch("embed"):
            self._maps = self._maps or embed(self._engine, self._pictures, phases("embed"))
        with watch("fit codec"):
            fitted = kind.fit(parameter, self._maps, seed=seed, on_progress=phases("fit codec"))
        content = pack_asset(fitted, self._key.name, self._key.sha256, self._size)
        with watch("encode"):
            # The codec as an edge node and a service will restore it, not the one that was fitted.
            codec = open_asset(content).codec
            self._fitted[name] = content, codec
            maps, payload_bytes = send_maps_through(codec, self._maps, phases("encode"))
        return Passed(codec.name, maps, payload_bytes, self._key)

    def keep(self, name: str) -> tuple[AssetReference, ...]:
        """Write what an edge node needs for a codec that the pictures went `through`.

        Raises:
            MisconfiguredError: It is over the budget.
            UnavailableError: An asset cannot be written.
        """
        content, _ = self._fitted[name]
        self._budget.spend(f"codec {name}", len(content))
        assets = [keep(self._out, CODEC, content)]
        if self._weights is not None:
            assets.append(keep(self._out, BACKBONE, self._weights))
        return tuple(assets)

    def send(self, name: str, pictures: NDArray[np.uint8]) -> FeatureMaps:
        """Other pictures' maps as they come out of a codec that the good pictures went `through` before."""
        maps = embed(self._engine, pictures, silently)
        return send_maps_through(self._fitted[name][1], maps, silently)[0]

    @property
    def _size(self) -> Size:
        return self._pictures.shape[1], self._pictures.shape[2]
