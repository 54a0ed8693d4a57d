"""The outbox against a simple model of it, through any order of steps, kills and restarts."""

import shutil
import tempfile
from pathlib import Path
from uuid import uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_node.outbox.journal import read_books, read_journal
from edge_node.outbox.outbox import Outbox
from edge_node.outbox.rows import Closing, OutboxFullError, Row, Trigger
from patchline.wire.messages import sha256_of

BUDGET = 50_000
PARTS = st.integers(0, 30)
GROUNDS = st.sampled_from(["", "verdict"])


class Part:
    """What the model knows of a part."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.kind, self.message = "reserved", b""
        self.grounds, self.outcome = "", ""


class OutboxMachine(RuleBasedStateMachine):
    """Steps in any order; `kill` goes on with a copy of the files as they are, the end of the log torn."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="outbox-model-"))
        self.boots = 0
        self.parts: list[Part] = []

    @initialize(journal_lines=st.sampled_from([0, 2, 1000]))
    def start(self, journal_lines: int) -> None:
        self.journal_lines = journal_lines
        self._open()

    def _open(self) -> None:
        self.boots += 1
        self.outbox = Outbox(
            self._path(),
            "plant/line1/cam1",
            boot_id=str(self.boots),
            clock_id="c",
            budget_bytes=BUDGET,
            journal_lines=self.journal_lines,
        )

    def _path(self) -> Path:
        return self.folder / str(self.boots) / "outbox.sqlite"

    def _part(self, number: int) -> Part:
        return self.parts[-1 - number % len(self.parts)]

    @rule(name=st.sampled_from([None, "washer"]))
    def reserve(self, name: str | None) -> None:
        trigger = Trigger(inspection_id=str(uuid4()), part_id=name, captured_at=1.0, captured_monotonic=1.0)
        row = self.outbox.reserve(trigger)
        assert (row.sequence, row.part_id) == (len(self.parts) + 1, name or str(len(self.parts) + 1))
        self.parts.append(Part(row))

    @precondition(lambda self: self.parts)
    @rule(number=PARTS, size=st.sampled_from([1, 3000, 20_000]))
    def keep(self, number: int, size: int) -> None:
        part = self._part(number)
        message = part.row.inspection_id.encode() * (size // 36 + 1)
        try:
            self.outbox.append(part.row, message, "frame", payload_bytes=size, stages={"encode": 0.5})
        except OutboxFullError:
            assert self._bytes() + len(message) > BUDGET
            return
        if part.kind == "reserved" and not part.outcome:
            part.kind, part.message = "frame", message

    @precondition(lambda self: self.parts)
    @rule(number=PARTS)
    def drop(self, number: int) -> None:
        part = self._part(number)
        self.outbox.append(part.row, b"a drop record", "drop", stages={})
        if not part.outcome:
            part.kind, part.message = "drop", b"a drop record"

    @precondition(lambda self: self.parts)
    @rule(number=PARTS)
    def replace(self, number: int) -> None:
        part = self._part(number)
        replaced = self.outbox.replace_frames([(part.row, b"gave way")])
        assert bool(replaced) == (part.kind == "frame" and not part.outcome)
        if replaced:
            part.kind, part.message = "drop", b"gave way"

    @precondition(lambda self: self.parts)
    @rule(number=PARTS)
    def claim(self, number: int) -> None:
        part = self._part(number)
        assert self.outbox.claim_gate(part.row.inspection_id, "reject", "deadline") == (not part.grounds)
        part.grounds = part.grounds or "deadline"

    @precondition(lambda self: self.parts)
    @rule(number=PARTS, grounds=GROUNDS)
    def close(self, number: int, grounds: str) -> None:
        part = self._part(number)
        closing = Closing(outcome="normal", gate_action="accept" if grounds else "", gate_grounds=grounds)
        line = self.outbox.confirm(part.row.inspection_id, closing)
        assert (line is None) == bool(part.outcome)
        if line is not None:
            part.outcome, part.grounds = "normal", part.grounds or grounds
            assert (line.gate_grounds, line.wire_bytes) == (part.grounds, len(part.message))

    @rule(tail=st.binary(max_size=3000))
    def kill(self, tail: bytes) -> None:
        files, outbox = list(self._path().parent.iterdir()), self.outbox
        place = self.folder / str(self.boots + 1)
        place.mkdir()
        for file in files:
            if not file.name.endswith("-shm"):
                shutil.copy(file, place / file.name)
        with (place / "outbox.sqlite-wal").open("ab") as log:
            log.write(tail)
        outbox.close()
        self._open()

    @rule()
    def stop_and_start(self) -> None:
        self.outbox.close()
        shutil.copytree(self._path().parent, self.folder / str(self.boots + 1))
        self._open()

    @rule()
    def miss(self) -> None:
        undecided = [part for part in self.parts if part.outcome and not part.grounds]
        assert self.outbox.miss_gates() == len(undecided)
        for part in undecided:
            part.grounds = "missed"

    @invariant()
    def agrees(self) -> None:
        if not self.boots:
            return
        waiting = [part for part in self.parts if not part.outcome]
        found = self.outbox.pending()
        assert [(row.inspection_id, row.kind, row.gate_grounds) for row in found] == [
            (part.row.inspection_id, part.kind, part.grounds) for part in waiting
        ]
        for part in self.parts[-5:]:
            expected = None if part.outcome or part.kind == "reserved" else part.message
            assert self.outbox.message(part.row.sequence) == expected
            if expected is not None:
                known = self.outbox.row_of_message(sha256_of(expected))
                assert known is not None
        assert (self.outbox.state.rows, self.outbox.state.bytes) == (len(waiting), self._bytes())
        books = read_books(self._path())
        assert (books.last, books.waiting) == (len(self.parts), frozenset(part.row.sequence for part in waiting))
        for line in read_journal(self._path()):
            assert line.gate_grounds == self.parts[line.sequence - 1].grounds

    def _bytes(self) -> int:
        return sum(len(part.message) for part in self.parts if not part.outcome)

    def teardown(self) -> None:
        if self.boots:
            self.outbox.close()
        shutil.rmtree(self.folder)


OutboxMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestOutboxModel = OutboxMachine.TestCase
