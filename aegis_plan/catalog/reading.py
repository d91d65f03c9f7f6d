"""Which objects a verification reads, so that over time all of them are read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from aegis_plan.catalog.record import LogRecord, SetRecord


def chosen(
    records: Iterable[SetRecord | LogRecord],
    repository: str,
    read_at: Mapping[tuple[str, str, str], datetime],
    share: float,
) -> dict[str, frozenset[str]]:
    """Id of each record to the names of its objects that are read this time: those whose bytes were not read for the
    longest, until they make up `share` (0 to 1) of all bytes of the repository; at least one where the share is not 0.

    The bytes that were just written were proved then, so that of objects never read since the oldest come first."""
    everything = [(record, stored) for record in records for stored in record.objects]
    total = sum(stored.sealed_size for _, stored in everything)

    def age(record: SetRecord | LogRecord, name: str) -> tuple[datetime, str, str]:
        at = read_at.get((repository, record.id, name))
        return ((at or record.written).replace(tzinfo=None), record.id, name)

    everything.sort(key=lambda one: age(one[0], one[1].name))
    found: dict[str, set[str]] = {}
    taken = 0
    for record, stored in everything:
        if share <= 0 or (taken >= share * total and taken > 0):
            break
        found.setdefault(record.id, set()).add(stored.name)
        taken += stored.sealed_size
    return {identity: frozenset(names) for identity, names in found.items()}
