"""A station's own account, read while the station runs, starts, or has been killed at any moment."""

from contextlib import suppress
from pathlib import Path

from edge_node.outbox.journal import JournalLine, read_journal
from patchline.wire.errors import MisconfiguredError, UnavailableError


def journal_of(outbox: Path) -> list[JournalLine]:
    """What a station has closed; nothing while it makes its outbox, or where it was killed over that.

    A file without tables is no outbox to whoever audits one, but here it is one that is about to be.
    """
    with suppress(UnavailableError, MisconfiguredError):
        return list(read_journal(outbox))
    return []
