"""Which parts lose their pictures when the outbox is full. Each of them becomes a drop with its reason."""

import logging
from collections.abc import Iterator

from edge_node.delivery.publisher import Publisher
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Row, drop_message

_log = logging.getLogger(__name__)

_LOOK_ROWS = 64


class DropOldest:
    """Replaces the oldest pictures by drops `superseded`, first those that were never sent.

    Should a verdict on one of them be on its way, whichever the service records first stands, verdict or drop.

    Args:
        outbox: Where they are.
        publisher: Knows what was sent in this boot.
        station: Named in every drop.
        metrics: Where drops are counted.
    """

    def __init__(self, outbox: Outbox, publisher: Publisher, station: str, metrics: EdgeMetrics) -> None:
        self._outbox, self._publisher, self._station, self._metrics = outbox, publisher, station, metrics

    def make_room(self, needed_bytes: int) -> bool:
        """Replace as many as it takes; none if all there are would not do."""
        victims: list[tuple[Row, bytes]] = []
        freed = 0
        for row in self._candidates():
            message = drop_message(row, self._station, "superseded", "gave way to newer parts, the outbox is full")
            victims.append((row, message))
            freed += row.message_bytes - len(message)
            if freed >= needed_bytes:
                break
        else:
            return False
        for row in self._outbox.replace_frames(victims):
            _log.warning("part %s (number %d) gives way to newer ones", row.part_id, row.sequence)
            self._metrics.drops.labels("superseded").inc()
        return True

    def _candidates(self) -> Iterator[Row]:
        """Those that were never sent, oldest first, then those whose verdict may be on its way."""
        sent: list[Row] = []
        after = 0
        while rows := self._outbox.frames(after=after, limit=_LOOK_ROWS):
            after = rows[-1].sequence
            for row in rows:
                if self._publisher.progress(row.inspection_id).sends:
                    sent.append(row)
                else:
                    yield row
        yield from sent
