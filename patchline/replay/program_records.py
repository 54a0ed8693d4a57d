"""What the programs of a line recorded themselves: verdicts in the service, closed parts in the stations."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from analytics_service.records.records import Records
from edge_node.outbox.journal import JournalLine, read_journal
from patchline.replay.reconciliation import Sighting
from patchline.wire.errors import MisconfiguredError, UnavailableError
from patchline.wire.messages import Receipt, from_json, sha256_of

_AT_ONCE = 400


def recorded_verdicts(url: str, inspection_ids: Sequence[str]) -> list[Sighting]:
    """The verdicts that the service recorded, byte for byte as they were published.

    Args:
        url: The records' database.
        inspection_ids: Whose verdicts to look for.

    Raises:
        UnavailableError: The database is away.
        UnreadableError: A recorded verdict is not one.
    """
    records = Records(url)
    found: list[Sighting] = []
    try:
        for start in range(0, len(inspection_ids), _AT_ONCE):
            verdicts = records.verdicts_of(inspection_ids[start : start + _AT_ONCE])
            for encoded in verdicts.values():
                receipt: Receipt = from_json(encoded, Receipt)
                found.append(Sighting(receipt=receipt, digest=sha256_of(encoded), witness="records"))
    finally:
        records.close()
    return found


def journal_of(outbox: Path) -> list[JournalLine]:
    """The parts that a station has closed; none before its outbox is made.

    The station may be running, starting, or killed at any moment, so a file without tables is not an error here.
    """
    with suppress(UnavailableError, MisconfiguredError):
        return list(read_journal(outbox))
    return []
