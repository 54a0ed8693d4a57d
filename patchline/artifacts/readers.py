"""How an artifact reads what its codec wrote: a payload becomes a picture or feature maps, and these feed its detector.

Where the edge sends pictures, the service runs the backbone; where the edge has run it already, nothing is left to run.
Everything behind a reader - detector, batches, verdicts - is the same for both.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from patchline.vision.backbones.engine import Engine
from patchline.vision.codecs.features.protocol import FeatureCodec
from patchline.vision.codecs.image.protocol import ImageCodec
from patchline.vision.pixels.arrays import FeatureMaps, Pixels, Size
from patchline.vision.pixels.preprocessing import normalise
from patchline.wire.errors import UnreadableError

Decoded: TypeAlias = Pixels | FeatureMaps
"""What a payload decodes to: one picture `(H, W, 3)`, or its feature maps `(1, C, h, w)` a tap."""


MAX_FEATURE = 1e6
"""The largest value in a feature map. A backbone's are below 1e4; the squares of much larger ones overflow in a
detector, and what that does to the other parts of a batch nobody knows."""


class Reader(Protocol):
    """Both steps from a codec's payloads to what a detector takes."""

    @property
    def batch_key(self) -> Hashable:
        """Parts of readers with equal keys can share one run of the backbone."""
        ...

    def decode(self, payload: bytes) -> Decoded:
        """What a payload holds.

        Raises:
            UnreadableError: It is damaged, foreign, or of another size than the artifact judges.
        """
        ...

    def embed(self, parts: Sequence[Decoded]) -> FeatureMaps:
        """The feature maps of parts that readers with this batch key have decoded, in their order."""
        ...

    def blank(self) -> Decoded:
        """A part without anything on it, to try a detector with."""
        ...


@dataclass(frozen=True, slots=True)
class PictureReader:
    """Reads pictures, and runs the backbone on them.

    Attributes:
        codec: Whose payloads it reads.
        size: Height and width every picture must have.
        engine: What runs the backbone; the same object for every artifact with the same backbone and taps.
    """

    codec: ImageCodec
    size: Size
    engine: Engine

    @property
    def batch_key(self) -> Hashable:
        """Parts of one size share a run of the backbone, whichever codec they came by."""
        return id(self.engine), self.size

    def decode(self, payload: bytes) -> Decoded:
        """See `Reader.decode`."""
        pixels = self.codec.decode(payload, self.size)
        if pixels.shape != (*self.size, 3) or pixels.dtype != np.uint8:
            raise UnreadableError(f"decodes to {pixels.shape}, expected {(*self.size, 3)}", code="size")
        return pixels

    def embed(self, parts: Sequence[Decoded]) -> FeatureMaps:
        """See `Reader.embed`."""
        return self.engine.run(normalise(np.stack([_picture(part) for part in parts])))

    def blank(self) -> Decoded:
        """See `Reader.blank`."""
        return np.zeros((*self.size, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class FeatureReader:
    """Reads feature maps that a backbone at the edge has made; needs no backbone here.

    Attributes:
        codec: The codec as it was fitted when the artifact was made.
    """

    codec: FeatureCodec

    @property
    def batch_key(self) -> Hashable:
        """Parts with maps of the same form lie in one batch."""
        return tuple(self.codec.shapes.items())

    def decode(self, payload: bytes) -> Decoded:
        """See `Reader.decode`."""
        maps = self.codec.decode(payload)
        found = {tap: values.shape for tap, values in maps.items()}
        expected = {tap: (1, *shape) for tap, shape in self.codec.shapes.items()}
        if list(found.items()) != list(expected.items()):
            raise UnreadableError(f"decodes to {found}, expected {expected}", code="size")
        if not all(np.abs(values).max() <= MAX_FEATURE for values in maps.values()):
            raise UnreadableError(f"a feature is over {MAX_FEATURE:g} or not a number", code="features")
        return maps

    def embed(self, parts: Sequence[Decoded]) -> FeatureMaps:
        """See `Reader.embed`."""
        maps = [_maps(part) for part in parts]
        return {tap: np.concatenate([each[tap] for each in maps]) for tap in self.codec.shapes}

    def blank(self) -> Decoded:
        """See `Reader.blank`: nothing, sent and received, so that the codec is tried as well."""
        nothing = {tap: np.zeros((1, *shape), np.float32) for tap, shape in self.codec.shapes.items()}
        return self.decode(self.codec.encode(nothing))


def _picture(part: Decoded) -> Pixels:
    assert isinstance(part, np.ndarray), "feature maps among the pictures of a batch"
    return part


def _maps(part: Decoded) -> FeatureMaps:
    assert isinstance(part, dict), "a picture among the feature maps of a batch"
    return part
