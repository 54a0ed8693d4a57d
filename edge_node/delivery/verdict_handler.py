"""What comes back: a verdict or a receipt closes its row, once, and may move the gate."""

import logging

from edge_node.delivery.publisher import Publisher
from edge_node.gate.gate_controller import GateController
from edge_node.metrics import EdgeMetrics
from edge_node.outbox.journal import JournalLine
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Closing, Row
from patchline.mqtt.delivery import Delivery
from patchline.wire.errors import UnavailableError, UnreadableError
from patchline.wire.messages import DropReceipt, Receipt, Seconds, Verdict, from_json

_log = logging.getLogger(__name__)


class VerdictHandler:
    """Reads the station's `verdict` channel. One thread at a time.

    Args:
        outbox: Where rows wait.
        publisher: Told what is closed, or damaged and to be sent again.
        gatekeeper: Asked what the gate should do.
        station: Whose verdicts these must be.
        boot_id: Latencies are taken within this boot only.
        metrics: Where verdicts are counted.
    """

    def __init__(
        self,
        outbox: Outbox,
        publisher: Publisher,
        gate_controller: GateController,
        *,
        station: str,
        boot_id: str,
        metrics: EdgeMetrics,
    ) -> None:
        self._outbox, self._publisher, self._gate_controller = outbox, publisher, gate_controller
        self._station, self._boot_id, self._metrics = station, boot_id, metrics

    def receive(self, delivery: Delivery) -> None:
        """Close the row of a verdict or a drop receipt; duplicates are counted and change nothing.

        Raises:
            UnreadableError: It is neither, or another station's.
            UnavailableError: The disk is full or failing; the row stays, and is asked for again.
        """
        receipt: Receipt = from_json(delivery.payload, Receipt)
        if receipt.station != self._station:
            raise UnreadableError(f"a receipt for {receipt.station} came to {self._station}", code="station")
        row = self._row_of(receipt)
        if row is None:
            return
        verdict = receipt if isinstance(receipt, Verdict) else None
        if verdict is not None and row.kind == "frame" and verdict.received_sha256 != row.sha256:
            # Its picture has a digest of its own and was whole; what stands around it may be wrong in the records.
            _log.warning(
                "part %s, number %d, was judged by a copy damaged on the way, which called it %s, number %d",
                row.part_id,
                row.sequence,
                verdict.part_id,
                verdict.sequence,
            )
            self._metrics.damaged.inc()
        command = self._gate_controller.judge(row, verdict, delivery.received_at) if verdict else None
        closing = self._closing(row, receipt, delivery.received_at)
        if command is not None:
            closing = closing.moving(command.action, command.grounds)
        try:
            line = self._outbox.confirm(row.inspection_id, closing)
        except UnavailableError:
            if command is not None:
                self._gate_controller.watch(row)
            raise
        self._publisher.closed(row.inspection_id)
        if line is not None:
            self._count(line, receipt)
            if command is not None and line.gate_grounds == command.grounds:
                self._gate_controller.carry_out(command)

    def _row_of(self, receipt: Receipt) -> Row | None:
        """The open row a receipt closes, if any.

        An unreadable message is known by its digest alone. A digest that is not ours was damaged on the way: the row
        it may have come from is sent again, and stays.
        """
        if not isinstance(receipt, Verdict) or receipt.outcome != "unreadable":
            row = self._outbox.row(receipt.inspection_id)
        else:
            row = self._outbox.row_of_message(receipt.received_sha256)
            if row is None and self._outbox.row(receipt.inspection_id) is not None:
                _log.warning("part %s was damaged on the way and is sent again", receipt.part_id)
                self._metrics.damaged.inc()
                self._publisher.again(receipt.inspection_id)
                return None
        if row is None:
            self._metrics.duplicates.inc()
        return row

    def _closing(self, row: Row, receipt: Receipt, received_at: float) -> Closing:
        progress = self._publisher.progress(row.inspection_id)
        latency = received_at - row.captured_monotonic if row.boot_id == self._boot_id else None
        if isinstance(receipt, DropReceipt):
            return Closing(outcome="dropped", reason=receipt.reason, latency_seconds=latency, sends=progress.sends)
        stages: Seconds = {"keep": progress.keep_seconds, **receipt.stages, "server": receipt.server_seconds}
        if latency is not None:
            at_edge = sum(row.stages.values()) + progress.keep_seconds
            stages["transmission"] = max(0.0, latency - at_edge - receipt.server_seconds)
            if progress.uplink_seconds is not None:
                stages["uplink"] = progress.uplink_seconds
        return Closing(
            outcome=receipt.outcome,
            reason=receipt.reason,
            latency_seconds=latency,
            sends=progress.sends,
            stages=stages,
        )

    def _count(self, line: JournalLine, receipt: Receipt) -> None:
        if isinstance(receipt, DropReceipt):
            return
        self._metrics.verdicts.labels(receipt.outcome).inc()
        if line.latency_seconds is not None:
            self._metrics.latency_seconds.observe(line.latency_seconds)
