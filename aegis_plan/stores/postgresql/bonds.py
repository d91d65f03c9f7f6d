"""What sets and log of PostgreSQL need of each other: chains, and the floor of the log on each timeline. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from aegis_plan.catalog.folding import once_a_shelf
from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.catalog.retention import Bonds
from aegis_plan.stores.postgresql.chains import LineageArchive, archive, set_timeline
from aegis_plan.stores.postgresql.positions import parse, segment_floor


class _Range(NamedTuple):
    """A range of log with its ends as numbers: a catalog may have a hundred thousand."""

    timeline: int
    begin: int
    end: int
    record: LogRecord


@once_a_shelf
def bonds(shelf: Shelf) -> Bonds:
    """Of all living records of a shelf."""
    lineages = archive(shelf).values()
    builds_on: dict[str, tuple[str, ...]] = {}
    for one in lineages:
        builds_on.update(_parents(one))
    ranges = {one.lineage: _ranges(one) for one in lineages}

    def log(sets: frozenset[str], since: datetime | None) -> dict[str, str]:
        kept = [record for one in lineages for record in one.promised if record.id in sets]
        newest = max(kept, key=lambda one: (one.not_after, one.id), default=None)
        found: dict[str, str] = {}
        for one in lineages:
            staying = [record for record in kept if record.lineage == one.lineage]
            if staying:
                present = newest is not None and newest.lineage == one.lineage
                for identity, why in _log(one, ranges[one.lineage], staying, since, present):
                    found.setdefault(identity, why)
        return found

    return Bonds(builds_on, log)


def _parents(one: LineageArchive) -> dict[str, tuple[str, ...]]:
    by_name: dict[str, SetRecord] = {}
    for record in one.promised:
        by_name[record.id] = by_name[record.set] = record
    found: dict[str, tuple[str, ...]] = {}
    for record in one.promised:
        line: list[str] = []
        at: SetRecord | None = record
        while at is not None and at.method != "full":
            parent = by_name.get(at.parent or "")
            named = parent.id if parent is not None else at.parent or "a set that it does not name"
            if named in line:
                break
            line.append(named)
            at = parent
        found[record.id] = tuple(line)
    return found


def _ranges(one: LineageArchive) -> list[_Range]:
    found = []
    for record in one.log:
        if not record.details.get("history"):
            timeline, begin = parse(record.begin)
            found.append(_Range(timeline, begin, parse(record.end).lsn, record))
    return found


def _log(
    one: LineageArchive, ranges: list[_Range], sets: list[SetRecord], since: datetime | None, present: bool
) -> Iterator[tuple[str, str]]:
    for record in one.histories:
        yield record.id, "it is the history of a timeline"
    for found in sets:
        own = dict(one.paths[set_timeline(found)])
        low, high = segment_floor(parse(found.begin).lsn, one.segment), parse(found.end).lsn
        for record in _between(ranges, own, low, high):
            yield record.id, f"set {found.set} was made during it"
    readable = {chain.last.id for chain in one.chains}
    youngest = max(one.paths, key=lambda path: (one.births[path], path))
    for path, steps in one.paths.items():
        upto = dict(steps)
        alive = since is None or (present and path == youngest) or _lives(one, ranges, path, since)
        on_it = [record for record in sets if _lies_on(record, upto)]
        if not alive or not on_it:
            continue
        on_it.sort(key=lambda record: (parse(record.end).lsn, record.not_after, record.id))
        # From a set of which a parent is damaged everywhere nothing leads on: the log has to begin with one before it.
        sound = [record for record in on_it if record.id in readable] or on_it
        old = [record for record in sound if since is not None and record.not_after <= since]
        anchor = old[-1] if old else sound[0]
        low = segment_floor(parse(anchor.begin).lsn, one.segment)
        for record in _between(ranges, upto, low, None):
            yield record.id, f"it leads on from set {anchor.set}"


def _lies_on(record: SetRecord, upto: dict[int, int]) -> bool:
    end = parse(record.end)
    return end.timeline in upto and end.lsn <= upto[end.timeline]


def _between(ranges: list[_Range], upto: dict[int, int], low: int, high: int | None) -> Iterator[LogRecord]:
    """Ranges that touch a stretch of a path, those without length at its ends among them."""
    for timeline, begin, end, record in ranges:
        left = upto.get(timeline)
        if left is not None and begin <= left and min(end, left) >= low and (high is None or begin <= high):
            yield record


def _lives(one: LineageArchive, ranges: list[_Range], path: int, since: datetime) -> bool:
    """Whether anything of the timeline at the end of a path is of the period that is kept."""
    return any(
        found.timeline == path and max(found.record.covers_until, found.record.written) >= since for found in ranges
    ) or any(set_timeline(record) == path and record.not_after >= since for record in one.promised)
