"""The service's own records as a second witness, asked after a run."""

from collections.abc import Sequence

from analytics_service.records.records import Records
from patchline.replay.reconciliation import Sighting
from patchline.wire.messages import Receipt, from_json, sha256_of

_AT_ONCE = 400


def recorded_verdicts(url: str, inspection_ids: Sequence[str]) -> list[Sighting]:
    """What the records say of some inspections: byte for byte what was published.

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
