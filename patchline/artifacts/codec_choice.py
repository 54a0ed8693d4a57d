"""Which codec a station can afford: the smallest one whose loss against the original is bounded.

At commissioning there are only normal pictures, so the loss is one of drawn defects: planted into normal pictures and
found less often, or not. It bounds what a codec hides of such defects, not of those the line will really have.
"""

from collections.abc import Sequence

import msgspec

DEFAULT_LADDER = (
    "png", "webp:95", "webp:90", "webp:80", "webp:60", "webp:40", "webp:20", "webp:10", "webp:5"
)  # fmt: skip
"""What is tried when no codec is named."""

ORIGINAL, RAW_MAPS = "png", "features"
"""What the loss is told against: the picture, or where all codecs that are tried carry feature maps, these raw."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A codec on trial.

    Attributes:
        payload_bytes: Mean of the normal pictures'.
        image_auroc: Normal pictures against the same with a drawn defect, by detectors that saw neither.
        loss: By how much the original's is higher.
        interval: Of the loss, 95 %, from a paired bootstrap of the pictures.
    """

    codec: str
    payload_bytes: float
    image_auroc: float
    loss: float
    interval: tuple[float, float]


class CodecChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Why a station sends what it sends.

    Attributes:
        false_loss: The most image AUROC that may be lost.
        reference: What the losses are told against.
        reference_auroc: What it finds.
        pictures: Normal ones; as many again had a defect drawn into them.
        contrast: Of the drawn defects, 1 the plainest: so faint that the reference misses some, or nothing is compared.
        tried: By rising bytes, up to the one chosen; all of them where none was.
    """

    false_loss: float
    reference: str
    reference_auroc: float
    pictures: int
    contrast: float
    tried: tuple[Tried, ...]

    @property
    def chosen(self) -> Tried | None:
        """The smallest codec whose loss is bounded; None where there is none."""
        return smallest_bounded(self.tried, self.false_loss)

    @property
    def reason(self) -> str:
        """One sentence for a person."""
        basis = (
            f"on {self.pictures} normal pictures and as many with a drawn defect of contrast {self.contrast:g}, "
            f"of which {self.reference} finds {self.reference_auroc:.4f}"
        )
        found = self.chosen
        if found is None:
            return f"no codec loses at most {self.false_loss:g} image AUROC for certain {basis}"
        return (
            f"{describe(found)}: the smallest that loses at most {self.false_loss:g} image AUROC for certain, {basis}"
        )


def smallest_bounded(tried: Sequence[Tried], false_loss: float) -> Tried | None:
    """Of the codecs whose loss lies below a bound with all of its interval, the one with the fewest bytes."""
    bounded = [each for each in tried if each.interval[1] <= false_loss]
    return min(bounded, key=lambda each: each.payload_bytes, default=None)


def describe(tried: Tried) -> str:
    """A codec with its bytes and its loss."""
    low, high = tried.interval
    return f"{tried.codec}, {tried.payload_bytes / 1000:.2f} kB, loses {tried.loss:.4f} ({low:.4f} to {high:.4f})"


def ladder_of(choice: CodecChoice, codecs: Sequence[str]) -> tuple[str, ...]:
    """A station's codecs after a trial: the chosen one, below it those with fewer bytes, for a line that is too thin.

    A trial goes by rising bytes, so those before the chosen one are the smaller ones. Of the default ladder, which
    nobody asked for, only the chosen one is left.
    """
    chosen = choice.chosen
    assert chosen is not None, "a choice without a chosen codec commissions nothing"
    if tuple(codecs) == DEFAULT_LADDER:
        return (chosen.codec,)
    names = [tried.codec for tried in choice.tried]
    return tuple(reversed(names[: names.index(chosen.codec) + 1]))
