"""Which records of a shelf count: not ended by a tombstone, and held whole by a repository that can be reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aegis_plan.catalog.ending import endings
from aegis_plan.catalog.folding import once_a_shelf
from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.catalog.verified import verdicts

FATAL = frozenset(
    {"missing-object", "wrong-size", "wrong-digest", "unreadable-record", "bad-signature", "unreadable-keys"}
)
"""Kinds of damage that make one repository's copy of a record useless."""


@dataclass(frozen=True)
class Living:
    """The records of a shelf that nobody ended, and who holds each of them whole."""

    sets: tuple[SetRecord, ...]
    log: tuple[LogRecord, ...]
    holders: dict[str, tuple[str, ...]]
    """Record id to the reachable repositories that hold it whole; no entry where none does."""

    def held(self, record: str) -> bool:
        return record in self.holders


def living(shelf: Shelf, without: Sequence[str] = ()) -> Living:
    """Folds a shelf, leaving out the repositories `without`."""
    return _living(shelf, frozenset(without))


@once_a_shelf
def _living(shelf: Shelf, without: frozenset[str]) -> Living:
    ended = endings(shelf.records)
    bad = {place for place, found in verdicts(shelf.records).items() if found == "fail"}
    holders: dict[str, tuple[str, ...]] = {}
    for holding in shelf.holdings:
        if not holding.reachable or holding.repository in without:
            continue
        damaged = {damage.record for damage in holding.damage if damage.record and damage.kind in FATAL}
        for held in holding.held:
            if held not in damaged and (holding.repository, held) not in bad:
                holders[held] = (*holders.get(held, ()), holding.repository)
    alive = [record for record in shelf.records if record.id not in ended]
    return Living(
        sets=tuple(record for record in alive if isinstance(record, SetRecord)),
        log=tuple(record for record in alive if isinstance(record, LogRecord)),
        holders=holders,
    )


def newest_set(shelf: Shelf) -> str | None:
    """Name of the newest set that some repository holds whole, over all lineages."""
    alive = living(shelf)
    held = [record for record in alive.sets if alive.held(record.id)]
    return max(held, key=lambda record: (record.not_after, record.id)).set if held else None
