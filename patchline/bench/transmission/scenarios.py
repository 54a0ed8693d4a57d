"""The ways of sending a part that are compared: one row a way, and nothing else is needed to add one."""

from collections.abc import Iterable
from dataclasses import dataclass

from patchline.vision.codecs.lookup import is_feature_codec
from patchline.wire.errors import MisconfiguredError

TRUNK = "resnet50_v2_trunk"
"""Stands in for WideResNet-50-2: its layer2 + layer3 have the same channels and strides; the weights are others."""
FAST = "patchline_s"
"""A server that allows the paper's headline: the packaged backbone, with FAPM."""
EDGE = "mobilenet_v2"
TAPS = ("features.6", "features.13")
PAPER_TAPS = ("features.3", "features.8", "features.14")
"""Of the authors' public code: 95,648 values, the 382 kB of table 3."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One way of sending a part.

    Attributes:
        codec: Full name.
        backbone: What sees the part: the service's for a codec of pictures, the edge's for one of feature maps.
        taps: Taken of it; its default ones when empty.
        detector: With its default parameters.
        reference: The scenario its accuracy is held against: the original, or the same maps sent raw.
        paper: Its column in the paper, if it has one.
        live: Whether it is also played on a line; the others are there for their bytes and what they find.
    """

    codec: str
    backbone: str
    taps: tuple[str, ...] = ()
    detector: str = "patchcore"
    reference: str
    paper: str = ""
    live: bool = True

    @property
    def at_edge(self) -> bool:
        """Whether the backbone runs at the edge."""
        return is_feature_codec(self.codec)

    @property
    def group(self) -> tuple[str, tuple[str, ...], str, bool]:
        """Scenarios with the same one are commissioned together: backbone, taps, detector, and where it runs."""
        return self.backbone, self.taps, self.detector, self.at_edge


def _image(codec: str, *, paper: str = "") -> Scenario:
    return Scenario(codec=codec, backbone=TRUNK, reference="original", paper=paper)


def _fast(codec: str, *, paper: str = "", live: bool = True) -> Scenario:
    return Scenario(codec=codec, backbone=FAST, detector="fapm", reference="original-fast", paper=paper, live=live)


def _maps(codec: str, *, paper: str = "") -> Scenario:
    return Scenario(codec=codec, backbone=EDGE, taps=TAPS, reference="features", paper=paper)


def _paper_maps(codec: str, *, paper: str) -> Scenario:
    return Scenario(codec=codec, backbone=EDGE, taps=PAPER_TAPS, reference="features-paper", paper=paper)


SCENARIOS: dict[str, Scenario] = {
    # The paper's seven. Random sampling comes twice, for its text and its programs say different things.
    "original": _image("png", paper="Original"),
    "webp-80": _image("webp:80", paper="WebP"),
    "features-paper": _paper_maps("features", paper="Raw Features"),
    "channel-sampling-paper": _paper_maps("channel-sampling:0.25", paper="RS"),
    "patch-sampling-paper": _paper_maps("patch-sampling:0.25", paper="RS"),
    "pq-global": _paper_maps("pq-global:976x5", paper="PQ"),
    "sampling-pq-global": _paper_maps("channel-sampling:0.5+pq-global:488x5", paper="RS + PQ"),
    "sampling-tiles-paper": _paper_maps("channel-sampling:0.5+tiles:80", paper="RS + WebP"),
    # The same ways on the maps that serve best at 176 kB.
    "features": _maps("features", paper="Raw Features"),
    "channel-sampling": _maps("channel-sampling:0.25", paper="RS"),
    "patch-sampling": _maps("patch-sampling:0.25", paper="RS"),
    "pq": _maps("pq:16x8", paper="PQ"),
    "opq": _maps("opq:16x8", paper="PQ"),
    "sampling-pq": _maps("channel-sampling:0.5+pq:16x8", paper="RS + PQ"),
    "sampling-tiles": _maps("channel-sampling:0.5+tiles:80", paper="RS + WebP"),
    # Beyond the paper: feature maps.
    "float16": _maps("float16"),
    "int8": _maps("int8"),
    "deflate-4": _maps("deflate:4"),
    "residual-6000": _maps("residual:5200"),
    "residual-4000": _maps("residual:3200"),
    "residual-2000": _maps("residual:1200"),
    "residual-1000": _maps("residual:300"),
    # Beyond the paper: pictures, with a server that is fast enough for the wire to matter.
    "original-fast": _fast("png", paper="Original"),
    "webp-95-fast": _fast("webp:95", live=False),
    "webp-80-fast": _fast("webp:80", paper="WebP"),
    "webp-60-fast": _fast("webp:60", live=False),
    "webp-40-fast": _fast("webp:40", live=False),
    "webp-20-fast": _fast("webp:20"),
    "webp-5-fast": _fast("webp:5", live=False),
    "jpeg-80-fast": _fast("jpeg:80"),
    "jpeg-40-fast": _fast("jpeg:40", live=False),
    "avif-60-fast": _fast("avif:60"),
    "avif-40-fast": _fast("avif:40", live=False),
}
"""Name -> the way. A residual's number of bytes leaves room for the envelope under the round number of its name."""


def chosen(names: Iterable[str]) -> dict[str, Scenario]:
    """The scenarios of these names in the table's order, with those they are held against; all when none is named.

    Raises:
        MisconfiguredError: There is no such scenario.
    """
    asked = set(names)
    unknown = sorted(asked - set(SCENARIOS))
    if unknown:
        raise MisconfiguredError(
            f"no scenario is called {', '.join(unknown)}",
            where="--scenario",
            remedy=f"choose among {', '.join(SCENARIOS)}",
        )
    wanted = asked | {SCENARIOS[name].reference for name in asked}
    return {name: scenario for name, scenario in SCENARIOS.items() if not asked or name in wanted}
