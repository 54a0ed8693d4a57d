"""Fetches the assets that a profile needs: one range after another, and again only what did not come.

The edge asks for one range at a time, so the service never sends more than the link carries at the moment, and a
verdict waits behind one range at most. The size of a range follows the time that the last one took.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from patchline.wire.errors import UnreadableError
from patchline.wire.messages import MAX_ASSET_CHUNK_BYTES, AssetChunk, AssetRange, AssetReference

ALIGNMENT_BYTES = 4096
"""Each range begins at a multiple of this."""
FIRST_RANGE_BYTES = 4 * ALIGNMENT_BYTES
SILENCE_SECONDS = 10.0
"""So long after a request nothing came: it is asked again, of another service where there is one."""
_QUICK_SECONDS = 0.1
_SLOW_SECONDS = 0.3


class AssetRequest(NamedTuple):
    """The range to ask for.

    Attributes:
        silences: How often nothing came since the last chunk; chooses the service that is asked.
    """

    range: AssetRange
    silences: int


@dataclass(slots=True)
class _Partial:
    """An asset that is not whole: its bytes, and the ranges (first, end) that are missing."""

    reference: AssetReference
    content: bytearray = field(default_factory=bytearray)
    gaps: list[tuple[int, int]] = field(default_factory=list)

    def start(self) -> None:
        self.content = bytearray()
        self.gaps = [(0, self.reference.size)]

    def add(self, offset: int, data: bytes) -> None:
        if not self.content:
            self.content = bytearray(self.reference.size)
        end = offset + len(data)
        self.content[offset:end] = data
        gaps: list[tuple[int, int]] = []
        for first, last in self.gaps:
            gaps += [gap for gap in ((first, min(last, offset)), (max(first, end), last)) if gap[0] < gap[1]]
        self.gaps = gaps


class AssetDownload:
    """The assets that are missing, and the request that is under way. One thread at a time."""

    def __init__(self) -> None:
        self._partials: dict[str, _Partial] = {}
        self._range_bytes = FIRST_RANGE_BYTES
        self._asked: AssetRange | None = None
        self._asked_at = 0.0
        self._silences = 0

    @property
    def missing(self) -> tuple[str, ...]:
        """The sha256 of each asset that is not whole."""
        return tuple(self._partials)

    def want(self, references: Mapping[str, AssetReference]) -> None:
        """Fetch these assets and no others; what is here of them is kept."""
        self._partials = {
            sha256: self._partials.get(sha256) or _begun(reference) for sha256, reference in references.items()
        }
        self._asked = None

    def add(self, chunk: AssetChunk, now: float) -> bytes | None:
        """Take a piece of an asset; the whole asset once nothing of it is missing, until `finished` or `restart`.

        Raises:
            UnreadableError: The piece does not fit its asset.
        """
        partial = self._partials.get(chunk.sha256)
        if partial is None:
            return None
        size = partial.reference.size
        if chunk.size != size or chunk.offset % ALIGNMENT_BYTES or chunk.offset + len(chunk.data) > size:
            raise UnreadableError(f"a chunk does not fit asset {partial.reference.name}", code="asset")
        partial.add(chunk.offset, chunk.data)
        self._silences = 0
        if self._asked is not None and (chunk.sha256, chunk.offset) == (self._asked.sha256, self._asked.offset):
            self._adapt(now - self._asked_at)
            self._asked = None
        return None if partial.gaps else bytes(partial.content)

    def finished(self, sha256: str) -> None:
        """An asset is whole and kept elsewhere."""
        self._partials.pop(sha256, None)

    def restart(self, sha256: str) -> None:
        """An asset was damaged on the way: fetch all of it again."""
        self._partials[sha256].start()

    def next_request(self, now: float) -> AssetRequest | None:
        """What to ask for now; None while nothing is missing, or while an answer may be on its way."""
        gap = next(((sha256, partial.gaps[0]) for sha256, partial in self._partials.items() if partial.gaps), None)
        if gap is None:
            return None
        if self._asked is not None:
            if now - self._asked_at < SILENCE_SECONDS:
                return None
            self._silences += 1
            self._range_bytes = FIRST_RANGE_BYTES
        sha256, (first, last) = gap
        self._asked = AssetRange(sha256=sha256, offset=first, size=min(self._range_bytes, last - first))
        self._asked_at = now
        return AssetRequest(self._asked, self._silences)

    def not_asked(self) -> None:
        """The request could not be published: it is due again at once."""
        self._asked = None

    def _adapt(self, seconds: float) -> None:
        if seconds < _QUICK_SECONDS:
            self._range_bytes = min(2 * self._range_bytes, MAX_ASSET_CHUNK_BYTES)
        elif seconds > _SLOW_SECONDS:
            self._range_bytes = max(self._range_bytes // 2, ALIGNMENT_BYTES)


def _begun(reference: AssetReference) -> _Partial:
    partial = _Partial(reference)
    partial.start()
    return partial
