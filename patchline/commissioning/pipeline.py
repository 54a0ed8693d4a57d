"""What all codecs of a ladder are made with: the good pictures at the input size, and the backbones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from patchline.artifacts.artifact import BackboneKey
from patchline.artifacts.engines import EngineCache
from patchline.commissioning.codec_pass import AssetBudget, EdgeBench, Passed, Phases, through_pictures
from patchline.commissioning.normal_pictures import embed, send_through, silently
from patchline.commissioning.stopwatch import Stopwatch
from patchline.vision.backbones.engine import Engine
from patchline.vision.codecs.lookup import codec_of, feature_codec_class, is_feature_codec
from patchline.vision.pixels.arrays import FeatureMaps
from patchline.wire.errors import MisconfiguredError
from patchline.wire.messages import AssetReference

_WEIGHED = 32


@dataclass(frozen=True)
class Chosen:
    """A ladder's backbones, as far as it needs them.

    Attributes:
        service: What the service runs on pictures.
        edge: What the edge runs for feature codecs.
    """

    service: tuple[BackboneKey, Engine] | None
    edge: tuple[BackboneKey, Engine] | None


def choose(
    codecs: Sequence[str],
    room: EngineCache,
    *,
    backbone: str,
    taps: tuple[str, ...],
    edge_backbone: str = "",
    edge_taps: tuple[str, ...] = (),
) -> Chosen:
    """Make sure that every codec and backbone of a ladder exists, and load the backbones.

    Args:
        codecs: Full names.
        room: Where engines come from.
        backbone: The service's.
        taps: Taken of it; its default ones when empty.
        edge_backbone: The edge's; the service's when empty.
        edge_taps: Taken of it; the service's when empty, unless an `edge_backbone` is named, which has its own.

    Raises:
        MisconfiguredError: A codec, backbone or tap does not exist, a codec comes twice, or there is none.
    """
    if not codecs or len(set(codecs)) != len(codecs):
        raise MisconfiguredError(
            f"the ladder {list(codecs)} has no codec, or one of them twice",
            where="codec",
            remedy="name each codec once",
        )
    for name in codecs:
        _check(name)
    of_features = [is_feature_codec(name) for name in codecs]
    edge_taps = edge_taps or (() if edge_backbone else taps)
    return Chosen(
        None if all(of_features) else room.choose(backbone, taps),
        room.choose(edge_backbone or backbone, edge_taps) if any(of_features) else None,
    )


class Workbench:
    """Sends the good pictures through one codec after another.

    Args:
        pictures: `(N, H, W, 3)` at the input size.
        chosen: The backbones.
        out: The folder of all artifacts.
        budget: Of what the station must fetch.
        seed: Of fitted codecs.

    Raises:
        MisconfiguredError: The edge's backbone alone is over the budget.
    """

    def __init__(
        self, pictures: NDArray[np.uint8], chosen: Chosen, *, out: Path, budget: AssetBudget, seed: int
    ) -> None:
        self.pictures, self._service, self._seed = pictures, chosen.service, seed
        self._edge = None if chosen.edge is None else EdgeBench(*chosen.edge, pictures, out=out, budget=budget)

    def through(self, name: str, *, watch: Stopwatch, phases: Phases) -> Passed:
        """The good pictures as they come out of one of the codecs that were chosen.

        Raises:
            MisconfiguredError: A codec cannot be fitted.
        """
        if self._edge is not None and is_feature_codec(name):
            return self._edge.through(name, seed=self._seed, watch=watch, phases=phases)
        assert self._service is not None, f"{name} was not among the codecs chosen"
        key, engine = self._service
        return through_pictures(codec_of(name), self.pictures, key=key, engine=engine, watch=watch, phases=phases)

    def keep(self, name: str) -> tuple[AssetReference, ...]:
        """Write what an edge node needs for a codec that the pictures went `through`; nothing for image codecs.

        Raises:
            MisconfiguredError: It is over the budget.
            UnavailableError: An asset cannot be written.
        """
        return self._edge.keep(name) if self._edge is not None and is_feature_codec(name) else ()

    def payload_bytes(self, name: str) -> float:
        """Mean size of an encoded picture; of an image codec, from a few pictures."""
        if is_feature_codec(name):
            return self.through(name, watch=Stopwatch(), phases=lambda _: silently).payload_bytes
        return send_through(codec_of(name), self.pictures[:_WEIGHED], silently)[1]

    def send(self, name: str, pictures: NDArray[np.uint8]) -> FeatureMaps:
        """Other pictures as they come out of a codec that the good ones went through before.

        Args:
            name: Of the codec.
            pictures: `(N, H, W, 3)` at the input size.
        """
        if self._edge is not None and is_feature_codec(name):
            return self._edge.send(name, pictures)
        assert self._service is not None, f"{name} was not among the codecs chosen"
        decoded, _ = send_through(codec_of(name), pictures, silently)
        return embed(self._service[1], decoded, silently)


def _check(name: str) -> None:
    if is_feature_codec(name):
        feature_codec_class(name)
    else:
        codec_of(name)
