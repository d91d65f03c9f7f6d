"""Which records were ended by a tombstone and not kept by a hold that came after it. Pure; it reads no clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from aegis_plan.catalog.record import HoldRecord, Record, TombstoneRecord


@dataclass(frozen=True)
class Ended:
    """One record that is going, or gone."""

    record: str
    digest: str
    reason: str
    tombstone: str
    """Id of the record that ended it."""
    written: datetime
    delete_from: datetime


def endings(records: Iterable[Record]) -> dict[str, Ended]:
    """Id of each ended record to how it ended, by the tombstone that lets it go first.

    A later hold, also one that was released since, takes a tombstone back: only a new one ends the record then."""
    found: dict[str, Ended] = {}
    telling = [record for record in records if isinstance(record, TombstoneRecord | HoldRecord)]
    for record in sorted(telling, key=lambda one: (one.written, one.id)):
        if isinstance(record, TombstoneRecord):
            for one in record.targets:
                known = found.get(one.record)
                if known is None or record.delete_from < known.delete_from:
                    found[one.record] = Ended(
                        one.record, one.digest, one.reason, record.id, record.written, record.delete_from
                    )
        else:
            for identity in record.targets or tuple(found):
                found.pop(identity, None)
    return found


def buried(records: Iterable[Record]) -> set[str]:
    """Digests of all that a tombstone ever ended: who names one of them as a predecessor misses nothing."""
    return {one.digest for record in records if isinstance(record, TombstoneRecord) for one in record.targets}
