"""What gives way when the outbox is full. Whatever does is told: a part without a picture is a drop with its reason."""

import logging
from collections.abc import Iterator
from typing import Protocol

from edge_node.capture.sources.protocol import Pixels
from edge_node.control.active_encoder import ActiveEncoder
from edge_node.control.status_publisher import StatusPublisher
from edge_node.delivery.publisher import Publisher
from edge_node.encoding.image_encoder import Encoder
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Row, drop_message
from patchline.wire.errors import MisconfiguredError

_log = logging.getLogger(__name__)

_DOWN_AT = 0.75
_UP_AT = 0.5
"""Shares of the budget: apart, so that the codec does not flutter around one of them."""
_LOOK_ROWS = 64


class Overflow(Protocol):
    """Asked by the capture loop, on its thread."""

    def choose(self, encoder: Encoder, pixels: Pixels) -> Encoder:
        """The encoder to use for a picture, instead of the one in use."""
        ...

    def make_room(self, needed_bytes: int) -> bool:
        """A picture was over the budget: whether there is room for it now."""
        ...


class StopCapture:
    """New pictures give way: their parts become drops `outbox_full` until there is room again."""

    def choose(self, encoder: Encoder, pixels: Pixels) -> Encoder:
        """The one in use."""
        del pixels
        return encoder

    def make_room(self, needed_bytes: int) -> bool:
        """Never."""
        del needed_bytes
        return False


class DropOldest(StopCapture):
    """The oldest pictures give way, first those that were never sent: their parts become drops `superseded`.

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
        """Let as many give way as it takes; none if all there are would not do."""
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


class DowngradeCodec(StopCapture):
    """The size of pictures gives way: while the outbox is filling up, the ladder's smallest payload is sent.

    Which is the smallest is measured on the picture at hand. Once there is room again, the codec goes back to what it
    was; a codec that was ordered meanwhile stays. A budget that is used up all the same refuses pictures.

    Args:
        outbox: Says how full it is.
        mode: Changes the codec.
        announcer: Tells the change.
        station: For the metrics.
        metrics: Shows the codec in use.
    """

    def __init__(
        self,
        outbox: Outbox,
        active_encoder: ActiveEncoder,
        status_publisher: StatusPublisher,
        station: str,
        metrics: EdgeMetrics,
    ) -> None:
        self._outbox, self._active_encoder, self._status_publisher = outbox, active_encoder, status_publisher
        self._station, self._metrics = station, metrics
        self._usual = ""
        self._thrifty = ""

    def choose(self, encoder: Encoder, pixels: Pixels) -> Encoder:
        """The smallest one above three quarters of the budget, the usual one again below half of it."""
        fill, codec = self._outbox.fill, encoder.rung.codec
        if self._thrifty and codec != self._thrifty:
            self._usual = self._thrifty = ""
        if not self._thrifty and fill >= _DOWN_AT:
            smallest = self._smallest(encoder, pixels)
            self._usual, self._thrifty = codec, smallest.rung.codec
            return self._change_to(smallest, encoder, fill)
        if self._thrifty and fill <= _UP_AT:
            usual, self._usual, self._thrifty = self._usual, "", ""
            return self._change_to(self._encoder_for(usual) or encoder, encoder, fill)
        return encoder

    def _smallest(self, encoder: Encoder, pixels: Pixels) -> Encoder:
        sizes: list[tuple[int, int, Encoder]] = []
        for place, rung in enumerate(encoder.profile.ladder):
            candidate = encoder if rung.codec == encoder.rung.codec else self._encoder_for(rung.codec)
            try:
                if candidate is not None:
                    sizes.append((len(candidate.encode(pixels)[0]), place, candidate))
            except MisconfiguredError as error:
                _log.debug("codec %s is no way out: %s", rung.codec, error)
        return min(sizes, key=lambda size: size[:2])[2] if sizes else encoder

    def _encoder_for(self, codec: str) -> Encoder | None:
        try:
            return self._active_encoder.encoder_for(codec)
        except MisconfiguredError as error:
            _log.debug("codec %s cannot be used: %s", codec, error)
            return None

    def _change_to(self, wanted: Encoder, current: Encoder, fill: float) -> Encoder:
        if wanted.rung.codec == current.rung.codec:
            return current
        try:
            self._active_encoder.choose(wanted.rung.codec)
        except MisconfiguredError as error:
            _log.warning("codec %s stays: %s", current.rung.codec, error)
            return current
        _log.warning("outbox %.0f %% full: codec %s instead of %s", 100 * fill, wanted.rung.codec, current.rung.codec)
        self._metrics.show_profile(self._station, wanted.profile.fingerprint, wanted.rung.codec)
        self._status_publisher.announce()
        return wanted
