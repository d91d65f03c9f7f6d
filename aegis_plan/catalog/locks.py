"""How long each record of a store has to be locked where a repository can lock, and how long it is known to be: a fold
of the records. Pure; the moment is passed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from aegis_plan.catalog.living import Living
from aegis_plan.catalog.record import LockRecord, LogRecord, Record, SetRecord
from aegis_plan.catalog.retention import Bonds, Periods

AHEAD = timedelta(days=3)
"""Whatever is kept has to be locked for so long at least, also what outlives its period because others need it."""
AT_ONCE = timedelta(days=7)
"""What has to be locked longer is, for so long from now, so that it is not done every day."""


def wanted(alive: Living, bonds: Bonds, periods: Periods) -> dict[str, datetime]:
    """Id of each living record to the end of its period, or that of the last one that builds on it. What is kept for
    good has no entry: it is locked ahead, again and again."""
    found: dict[str, datetime] = {}
    for record in alive.sets:
        span = periods.get(record.method)
        if span is None:
            continue
        for one in (record.id, *bonds.builds_on.get(record.id, ())):
            found[one] = max(found.get(one, record.not_after + span), record.not_after + span)
    span = periods.get("log")
    for ranged in alive.log if span is not None else ():
        assert span is not None
        found[ranged.id] = max(ranged.covers_until, ranged.written) + span
    return found


def known(records: Iterable[Record]) -> dict[tuple[str, str], datetime]:
    """Repository and id of a record to the end of its lock there, as those who locked it say."""
    found: dict[tuple[str, str], datetime] = {}
    for record in records:
        if isinstance(record, LockRecord):
            for one in record.targets:
                place = record.repository, one
                found[place] = max(found.get(place, record.until), record.until)
    return found


def lacking(
    alive: Living,
    records: Iterable[Record],
    ends: Mapping[str, datetime],
    kept: Iterable[str],
    repository: str,
    now: datetime,
    lately: timedelta = timedelta(0),
) -> dict[str, datetime]:
    """Id of each record that a repository holds and has locked too briefly, to how long it is to be. Ranges of the log
    that were written `lately` are left for the next time: there is a new one every few minutes."""
    staying = set(kept)
    locked = known(records)
    living_ones: tuple[SetRecord | LogRecord, ...] = (*alive.sets, *alive.log)
    found = {}
    for record in living_ones:
        if repository not in alive.holders.get(record.id, ()) or record.id not in staying:
            continue
        if isinstance(record, LogRecord) and now - record.written < lately:
            continue
        end = ends.get(record.id, now)
        have = locked.get((repository, record.id))
        if have is None or have < max(end, now + AHEAD):
            found[record.id] = max(end, now + AT_ONCE)
    return found
