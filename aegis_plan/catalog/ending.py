"""Which records were ended by a tombstone that no hold takes back. Pure; it reads no clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from aegis_plan.catalog.record import HoldRecord, Record, ReleaseRecord, TombstoneRecord


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

    A later hold, also one that was released since, takes a tombstone back: only a new one ends the record then. So does
    one that was in force when the tombstone was written: whoever wrote that had not seen it."""
    known = tuple(records)
    released: dict[str, datetime] = {}
    for record in known:
        if isinstance(record, ReleaseRecord):
            released[record.hold] = min(record.written, released.get(record.hold, record.written))
    found: dict[str, Ended] = {}
    held: list[HoldRecord] = []
    telling = [record for record in known if isinstance(record, TombstoneRecord | HoldRecord)]
    for record in sorted(telling, key=lambda one: (one.written, one.id)):
        if isinstance(record, HoldRecord):
            held.append(record)
            for identity in record.targets or tuple(found):
                found.pop(identity, None)
            continue
        held = [one for one in held if not _over(one, released.get(one.id), record.written)]
        for one in record.targets:
            before = found.get(one.record)
            if any(not hold.targets or one.record in hold.targets for hold in held):
                continue
            if before is None or record.delete_from < before.delete_from:
                found[one.record] = Ended(
                    one.record, one.digest, one.reason, record.id, record.written, record.delete_from
                )
    return found


def _over(hold: HoldRecord, released: datetime | None, moment: datetime) -> bool:
    return (released is not None and released <= moment) or (hold.until is not None and hold.until <= moment)


def buried(records: Iterable[Record]) -> set[str]:
    """Digests of all that a tombstone ever ended: who names one of them as a predecessor misses nothing."""
    return {one.digest for record in records if isinstance(record, TombstoneRecord) for one in record.targets}


def after_all(records: Iterable[Record], now: datetime) -> datetime:
    """When a mark, a hold or a release is written that comes now: after all that are there, though the clock of who
    wrote those was ahead. Their order decides what goes."""
    kinds = TombstoneRecord | HoldRecord | ReleaseRecord
    return max([now, *(one.written + timedelta(milliseconds=1) for one in records if isinstance(one, kinds))])
