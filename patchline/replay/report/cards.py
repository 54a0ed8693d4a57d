"""Which parts a person should look at, and how each of them is shown."""

from collections.abc import Sequence

import msgspec

from patchline.replay import part_pictures as evidence
from patchline.replay.accuracy import MapOf, relative_score
from patchline.replay.reconciliation import Fate
from patchline.replay.report.overlays import data_uri, heat_panel, plain_panel
from patchline.wire.errors import UnreadableError

CARDS_A_GROUP = 6


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One part on the page.

    Attributes:
        picture: The part with its defect's true outline, as a data address; empty when the file is gone.
        heat: The part under its anomaly map; empty when no map was seen.
    """

    part_id: str
    station: str
    label: str
    score: float
    threshold: float | None
    ratio: float
    picture: str = ""
    heat: str = ""


class CardGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Parts shown for one reason.

    Attributes:
        total: How many there are; `cards` shows the first of them.
        calm: What to say when there is none.
    """

    title: str
    explanation: str
    calm: str
    total: int
    cards: tuple[Card, ...]


def card_groups(fates: Sequence[Fate], map_of: MapOf) -> list[CardGroup]:
    """The worst misses, the worst false rejects and the strongest rejects, each with its map."""
    missed = _by_score(
        [f for f in fates if f.entry.defective and not f.rejected and f.verdict is not None], lowest=True
    )
    false = _by_score([f for f in fates if not f.entry.defective and f.rejected], lowest=False)
    strong = _by_score([f for f in fates if f.entry.defective and f.rejected], lowest=False)
    return [
        CardGroup(
            title="Defective parts that were accepted",
            explanation="Ordered from the lowest score: the ones that looked most normal.",
            calm="None: every defective part was rejected.",
            total=len(missed),
            cards=_cards(missed, map_of),
        ),
        CardGroup(
            title="Good parts that were rejected",
            explanation="Ordered from the highest score: the worst false alarms.",
            calm="None: every good part was accepted.",
            total=len(false),
            cards=_cards(false, map_of),
        ),
        CardGroup(
            title="Strongest rejects",
            explanation="Defective parts with the highest scores.",
            calm="None: no defective part was rejected.",
            total=len(strong),
            cards=_cards(strong, map_of),
        ),
    ]


def _by_score(fates: list[Fate], *, lowest: bool) -> list[Fate]:
    scored = [fate for fate in fates if fate.verdict is not None and fate.verdict.score is not None]
    return sorted(scored, key=lambda fate: (_score_of(fate), fate.entry.key), reverse=not lowest)


def _score_of(fate: Fate) -> float:
    score = None if fate.verdict is None else relative_score(fate.verdict)
    return 0.0 if score is None else score


def _cards(fates: Sequence[Fate], map_of: MapOf) -> tuple[Card, ...]:
    return tuple(_card(fate, map_of) for fate in fates[:CARDS_A_GROUP])


def _card(fate: Fate, map_of: MapOf) -> Card:
    verdict = fate.verdict
    assert verdict is not None
    assert verdict.score is not None
    card = Card(
        part_id=fate.entry.part_id,
        station=fate.entry.station,
        label=fate.entry.label,
        score=verdict.score,
        threshold=verdict.threshold,
        ratio=_score_of(fate),
    )
    try:
        pixels = evidence.part_pixels(fate.entry)
        mask = evidence.part_mask(fate.entry, (pixels.shape[0], pixels.shape[1]))
        drawn = map_of(fate)
    except UnreadableError:
        return card
    scale = verdict.threshold or verdict.score or 1.0
    return msgspec.structs.replace(
        card,
        picture=data_uri(plain_panel(pixels, mask)),
        heat="" if drawn is None else data_uri(heat_panel(pixels, drawn / scale, mask)),
    )
