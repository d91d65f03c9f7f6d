"""What the catalog of one PostgreSQL store amounts to: chains of sets, unbroken pieces of log over timelines, and the
spans of time that can be reached with them. Pure; built once from a shelf, linear in its records."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from aegis_plan.catalog.folding import once_a_shelf
from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.living import Living, living
from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.errors import AegisError
from aegis_plan.stores.contract import Window
from aegis_plan.stores.postgresql.positions import SEGMENT, Position, parse, parse_lsn, segment_floor

FOREVER = 2**64
_Span = tuple[int, int, LogRecord]
"""A range with the LSNs that it begins and ends at."""


@dataclass(frozen=True)
class Range:
    """A range of log as far as it lies on a path of timelines."""

    begin: int
    end: int
    covers: datetime | None
    """None where the path leaves the range before its end, so that its promise does not hold."""
    timeline: int
    record: LogRecord


@dataclass(frozen=True)
class Piece:
    """Unbroken log on one path."""

    begin: int
    end: int
    covers: datetime | None
    """Every commit before this moment lies before `end`."""
    ranges: tuple[Range, ...]


@dataclass(frozen=True)
class Chain:
    """A set with all that it builds on, full first; only of sets that can be read."""

    sets: tuple[SetRecord, ...]

    @property
    def last(self) -> SetRecord:
        return self.sets[-1]


@dataclass(frozen=True)
class Hole:
    """Log that should be there and cannot be read, on one path."""

    timeline: int
    begin: int
    end: int

    def __str__(self) -> str:
        return f"{Position(self.timeline, self.begin)} to {Position(self.timeline, self.end)}"


@dataclass(frozen=True)
class Reach:
    """How far one chain comes on one path."""

    path: int
    """The timeline that the path ends on."""
    chain: Chain
    piece: Piece | None
    """None: the log does not help, the chain reaches its own point only."""
    begin: datetime
    end: datetime
    end_lsn: int


@dataclass
class LineageArchive:
    """One lineage of the store in the catalog."""

    lineage: str
    holders: Mapping[str, tuple[str, ...]]
    chains: list[Chain] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    """Set id to why its chain cannot be read."""
    promised: list[SetRecord] = field(default_factory=list)
    """All living sets, readable or not."""
    log: list[LogRecord] = field(default_factory=list)
    """All living ranges and histories, readable or not."""
    births: dict[int, datetime] = field(default_factory=dict)
    """Timeline to the first moment at which anything of it was seen."""
    paths: dict[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    """Timeline to its path: each timeline on it with the LSN at which the path leaves it."""
    pieces: dict[int, list[Piece]] = field(default_factory=dict)
    holes: dict[int, list[Hole]] = field(default_factory=dict)
    tips: dict[int, int] = field(default_factory=dict)
    """Path to the end of the furthest range on it, readable or not."""
    histories: list[LogRecord] = field(default_factory=list)
    reaches: list[Reach] = field(default_factory=list)
    """Youngest timeline, furthest end and newest set last."""
    segment: int = SEGMENT

    @property
    def newest(self) -> Chain | None:
        """The chain of the newest set."""
        return max(self.chains, key=lambda chain: (chain.last.not_after, chain.last.id), default=None)

    def hole(self, path: int, begin: int, end: int) -> Hole:
        """What is missing between two LSNs of a path."""
        return Hole(_owner(self.paths[path], begin), begin, end)

    def lost_behind(self, reach: Reach) -> list[Hole]:
        """What keeps a reach from the log that lies behind its end, the first hole first."""
        behind = [hole for hole in self.holes.get(reach.path, []) if hole.begin >= reach.end_lsn]
        if reach.piece is None and self.tips.get(reach.path, 0) > reach.end_lsn:
            begin = parse(reach.chain.last.begin).lsn
            following = [piece.begin for piece in self.pieces[reach.path] if piece.begin > begin]
            end = min(following, default=self.tips[reach.path])
            if not behind or behind[0].begin > begin:
                behind.insert(0, self.hole(reach.path, begin, end))
        return behind

    def end_before(self, path: int, lsn: int) -> int | None:
        """Where the archived log ends on a path: of the piece that holds `lsn`, else of the last one before it."""
        pieces = self.pieces.get(path, [])
        index = bisect_right([piece.begin for piece in pieces], lsn) - 1
        return pieces[index].end if index >= 0 else None


def archive(shelf: Shelf, without: Sequence[str] = ()) -> Mapping[str, LineageArchive]:
    """The lineages of a store, from what the repositories hold, leaving out those `without`."""
    return _archive(shelf, frozenset(without))


@once_a_shelf
def _archive(shelf: Shelf, without: frozenset[str]) -> Mapping[str, LineageArchive]:
    alive = living(shelf, tuple(without))
    lineages = {record.lineage for record in (*alive.sets, *alive.log)}
    return {lineage: _lineage(lineage, alive) for lineage in sorted(lineages)}


def windows(lineages: Mapping[str, LineageArchive]) -> tuple[Window, ...]:
    """All spans to which the store can go back, newest last; spans of one unbroken piece are one."""
    merged: dict[tuple[str, int, int, bool], Window] = {}
    for lineage, one in lineages.items():
        for reach in one.reaches:
            key = (lineage, reach.path, reach.end_lsn, reach.piece is not None)
            known = merged.get(key)
            merged[key] = Window(
                begin=min(known.begin, reach.begin) if known else reach.begin,
                end=max(known.end, reach.end) if known else reach.end,
                lineage=lineage,
                position=str(Position(_owner(one.paths[reach.path], reach.end_lsn), reach.end_lsn)),
            )
    kept: list[Window] = []
    furthest: dict[str, datetime] = {}
    for window in sorted(merged.values(), key=lambda window: (window.begin, -window.end.timestamp(), window.position)):
        if window.lineage not in furthest or window.end > furthest[window.lineage]:
            furthest[window.lineage] = window.end
            kept.append(window)
    return tuple(sorted(kept, key=lambda window: (window.end, window.begin, window.lineage)))


def switches(record: LogRecord) -> list[tuple[int, int]]:
    """From a timeline history record: each ancestor with the LSN at which it was left, oldest first."""
    text = record.details.get("text")
    if isinstance(text, str):
        return parse_history(text)
    listed = record.details.get("switches")
    if isinstance(listed, list):
        return [(int(timeline), parse_lsn(str(lsn))) for timeline, lsn in listed]
    begin, end = parse(record.begin), parse(record.end)
    return [(begin.timeline, begin.lsn)] if begin.timeline != end.timeline else []


def parse_history(text: str) -> list[tuple[int, int]]:
    """A timeline history file: each ancestor with the LSN at which it was left, oldest first."""
    found = []
    for line in text.splitlines():
        parts = line.split("#", 1)[0].split()
        if len(parts) >= 2 and parts[0].isdigit():
            found.append((int(parts[0]), parse_lsn(parts[1])))
    return found


def set_timeline(record: SetRecord) -> int:
    return parse(record.end).timeline


def _owner(path: tuple[tuple[int, int], ...], lsn: int) -> int:
    return next((timeline for timeline, upto in path if lsn <= upto), path[-1][0])


def _lineage(lineage: str, alive: Living) -> LineageArchive:
    one = LineageArchive(lineage, alive.holders)
    one.promised = [record for record in alive.sets if record.lineage == lineage]
    one.log = [record for record in alive.log if record.lineage == lineage]
    one.segment = next(
        (
            int(record.details["wal_segment_size"])
            for record in reversed(one.promised)
            if record.details.get("wal_segment_size")
        ),
        SEGMENT,
    )
    _chain(one)
    ranges: dict[int, list[_Span]] = defaultdict(list)
    ancestors: dict[int, list[tuple[int, int]]] = {}
    for record in one.log:
        if record.details.get("history"):
            timeline = parse(record.end).timeline
            one.histories.append(record)
            ancestors[timeline] = switches(record)
        else:
            timeline, begin = parse(record.begin)
            ranges[timeline].append((begin, parse(record.end).lsn, record))
        _born(one, timeline, record.written)
    for found in one.promised:
        timeline = set_timeline(found)
        _born(one, timeline, found.begun)
        for known in _set_histories(found):
            ancestors.setdefault(known[0], known[1])
    for timeline in sorted(set(ranges) | {set_timeline(found) for found in one.promised} | set(ancestors)):
        one.paths[timeline] = (*ancestors.get(timeline, ()), (timeline, FOREVER))
        _cover(one, timeline, ranges)
    for timeline, path in one.paths.items():
        _reach(one, timeline, dict(path))
    one.reaches.sort(
        key=lambda reach: (
            one.births[reach.path],
            reach.path,
            reach.end,
            reach.chain.last.not_after,
            reach.chain.last.id,
        )
    )
    return one


def _set_histories(record: SetRecord) -> list[tuple[int, list[tuple[int, int]]]]:
    text = record.details.get("timeline_history")
    if isinstance(text, str) and text.strip():
        return [(set_timeline(record), parse_history(text))]
    return []


def _born(one: LineageArchive, timeline: int, moment: datetime) -> None:
    known = one.births.get(timeline)
    one.births[timeline] = min(known, moment) if known else moment


def _chain(one: LineageArchive) -> None:
    by_name: dict[str, SetRecord] = {}
    for record in one.promised:
        by_name[record.id] = by_name[record.set] = record
    chains: dict[str, Chain] = {}
    for record in one.promised:
        line: list[SetRecord] = []
        at: SetRecord | None = record
        problem = ""
        while at is not None and at.id not in chains and not problem:
            line.append(at)
            if at.id not in one.holders:
                problem = f"set {at.set} is held whole by no repository that can be reached"
            elif at.set in one.broken:
                problem = one.broken[at.set]
            elif at.method == "full":
                break
            elif at.parent is None or at.parent not in by_name:
                problem = f"set {at.set} builds on {at.parent or 'nothing'}, which is in no catalog"
            else:
                at = by_name[at.parent]
                if at in line:
                    problem = f"set {at.set} builds on itself"
        if problem:
            one.broken[record.set] = problem
            continue
        before = chains[at.id].sets if at is not None and at.id in chains else ()
        chains[record.id] = Chain((*before, *reversed(line)))
    one.chains = list(chains.values())


def _cover(one: LineageArchive, path: int, ranges: Mapping[int, list[_Span]]) -> None:
    clipped: list[Range] = []
    lost: list[tuple[int, int, int]] = []
    for timeline, upto in one.paths[path]:
        for begin, end, record in ranges.get(timeline, ()):
            if begin >= upto and not (begin == upto == end):
                continue
            whole = end <= upto
            if record.id in one.holders:
                covers = record.covers_until if whole else None
                clipped.append(Range(begin, min(end, upto), covers, timeline, record))
            else:
                lost.append((begin, min(end, upto), timeline))
    clipped.sort(key=lambda part: (part.begin, part.end, part.record.id))
    pieces: list[Piece] = []
    held: list[Range] = []
    reach, covers = -1, None
    for part in clipped:
        if held and part.begin > reach:
            pieces.append(Piece(held[0].begin, reach, covers, tuple(held)))
            held, covers = [], None
            reach = part.end
        held.append(part)
        reach = max(reach, part.end)
        if part.covers is not None and (covers is None or part.covers > covers):
            covers = part.covers
    if held:
        pieces.append(Piece(held[0].begin, reach, covers, tuple(held)))
    one.pieces[path] = pieces
    edges = [(left.end, right.begin) for left, right in pairwise(pieces)]
    tip = max((end for _, end, _ in lost), default=0)
    last = pieces[-1].end if pieces else min((begin for begin, _, _ in lost), default=0)
    if tip > last:
        edges.append((last, tip))
    one.tips[path] = max(tip, last)
    one.holes[path] = [one.hole(path, begin, end) for begin, end in edges]


def _reach(one: LineageArchive, path: int, upto: Mapping[int, int]) -> None:
    starts = [piece.begin for piece in one.pieces[path]]
    entry = one.paths[path][-2][1] if len(one.paths[path]) > 1 else 0
    for chain in one.chains:
        last = chain.last
        end = parse(last.end)
        if end.timeline not in upto or end.lsn > upto[end.timeline]:
            continue
        index = bisect_right(starts, parse(last.begin).lsn) - 1
        piece = one.pieces[path][index] if index >= 0 else None
        if piece is not None and (piece.end < end.lsn or piece.covers is None):
            piece = None
        if path != end.timeline and (piece is None or piece.end < entry):
            continue
        covers = piece.covers if piece is not None else None
        one.reaches.append(
            Reach(
                path,
                chain,
                piece,
                begin=last.not_after,
                end=max(last.not_after, covers) if covers is not None else last.not_after,
                end_lsn=piece.end if piece is not None else end.lsn,
            )
        )


def log_needed(one: LineageArchive, reach: Reach, until: datetime | None, upto: int | None) -> tuple[LogRecord, ...]:
    """The ranges between the chain's begin and a moment or LSN, in order, with every timeline history.

    Raises AegisError `log-hole` when they do not reach, which is a fault of the caller's choice."""
    if reach.piece is None:
        return tuple(one.histories)
    begin = segment_floor(parse(reach.chain.last.begin).lsn, one.segment)
    needed: list[LogRecord] = []
    stop = upto
    if until is not None:
        ends = [part.end for part in reach.piece.ranges if part.covers is not None and part.covers >= until]
        floor = parse(reach.chain.last.end).lsn
        if not ends and until > reach.chain.last.not_after:
            raise AegisError("log-hole", "the log does not reach", f"nothing covers {until.isoformat()}")
        stop = max(floor, min(ends)) if ends else floor
    for part in reach.piece.ranges:
        if part.end > begin and (stop is None or part.begin < stop):
            needed.append(part.record)
    histories = [record for record in one.histories if record.id in one.holders]
    return (*histories, *needed)
