"""Assembles log ranges into the whole segment files that a server replays, and proves that they are unbroken.

What it has written it knows as extents by timeline; nothing counts as covered that was not written here.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aegis_plan.errors import DamageError
from aegis_plan.stores.postgresql.positions import format_lsn as spell
from aegis_plan.stores.postgresql.positions import parse_lsn as lsn
from aegis_plan.stores.postgresql.positions import segment_name as file_name
from aegis_plan.stores.programs import execute

PAGE = 8192
_LONG_HEADER = 0x0002
_RECORD = re.compile(r"len \(rec/tot\):\s*\d+/\s*(\d+), .*lsn: ([0-9A-F]+/[0-9A-F]+)")
_AFTER = re.compile(r"error in WAL record at ([0-9A-F]+/[0-9A-F]+)")
_COMMIT = re.compile(r"desc: COMMIT(?:_PREPARED)? .*?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC")


def join(timeline: int, position: int) -> str:
    """`1/0/5000028`."""
    return f"{timeline}/{spell(position)}"


def begin_of(name: str, size: int) -> int:
    """First position of the segment called `name`."""
    return (int(name[8:16], 16) << 32) + int(name[16:24], 16) * size


@dataclass(frozen=True)
class Switch:
    """Where a timeline was left for the next one."""

    timeline: int
    position: int


def read_history(text: bytes) -> list[Switch]:
    """A timeline history file: the timelines before it and where each was left. Raises DamageError."""
    found = []
    for line in text.decode("utf-8", "replace").splitlines():
        line = line.split("#", 1)[0].strip()
        if line:
            parts = line.split(None, 2)
            if len(parts) < 2 or not parts[0].isdigit():
                raise DamageError("history-damaged", "a timeline history file makes no sense", line[:80])
            found.append(Switch(int(parts[0]), lsn(parts[1])))
    return found


@dataclass
class Spool:
    """A folder of segment files that grows by ranges."""

    folder: Path
    size: int
    """Bytes of a segment."""
    system_identifier: str
    ids: tuple[int, int] | None = None
    extents: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Covered spans by timeline: sorted, disjoint, joined where they abut."""
    histories: dict[int, list[Switch]] = field(default_factory=dict)
    magic: int | None = None
    """The mark of this server's version, from the first page that was checked."""

    def history(self, timeline: int, text: bytes) -> None:
        """Takes the history file of `timeline`."""
        switches = read_history(text)
        if self.histories.setdefault(timeline, switches) != switches:
            raise _conflict(f"two histories of timeline {timeline}")
        self._write(f"{timeline:08X}.history", 0, text)

    def take(self, timeline: int, begin: int, end: int, chunks: Iterable[bytes]) -> None:
        """Writes one range. What was covered before has to be the same bytes.

        Raises DamageError `log-conflict`, `log-range-size`."""
        at = begin
        for chunk in chunks:
            data = memoryview(chunk)
            if at + len(data) > end:
                raise _size(timeline, begin, end)
            while data:
                room = self.size - at % self.size
                piece, data = data[:room], data[room:]
                self._place(timeline, at, bytes(piece))
                at += len(piece)
        if at != end:
            raise _size(timeline, begin, end)
        self._cover(timeline, begin, end)

    def adopt(self, timeline: int, begin: int, end: int) -> None:
        """Takes segment files that a set brought along as covered from `begin` to `end`, and drops what is behind."""
        for path in sorted(self.folder.iterdir()):
            if path.name.startswith("."):
                continue
            if path.suffix == ".history":
                self.histories[int(path.stem, 16)] = read_history(path.read_bytes())
                continue
            start = begin_of(path.name, self.size)
            if path.name[:8] != f"{timeline:08X}" or start >= end or start + self.size <= begin - begin % self.size:
                path.unlink()
                continue
            if path.stat().st_size != self.size:
                raise DamageError("segment-damaged", "a log segment of a set is damaged", f"{path.name}: its size")
            if start + self.size > end:
                with path.open("r+b") as stream:
                    stream.truncate(end - start)
                    stream.truncate(self.size)
            self._cover(timeline, start, min(start + self.size, end))

    def _cover(self, timeline: int, begin: int, end: int) -> None:
        spans = sorted([*self.extents.get(timeline, []), (begin, end)])
        joined = [spans[0]]
        for low, high in spans[1:]:
            if low <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], high))
            else:
                joined.append((low, high))
        self.extents[timeline] = joined

    def _place(self, timeline: int, at: int, data: bytes) -> None:
        name, offset = file_name(timeline, at, self.size), at % self.size
        for low, high in self.extents.get(timeline, []):
            begin, end = max(low, at), min(high, at + len(data))
            if begin < end:
                with (self.folder / name).open("rb") as stream:
                    stream.seek(begin % self.size)
                    if stream.read(end - begin) != data[begin - at : end - at]:
                        raise _conflict(f"timeline {timeline}, {spell(begin)} to {spell(end)}")
        self._write(name, offset, data, size=self.size)

    def _write(self, name: str, offset: int, data: bytes, size: int | None = None) -> None:
        path = self.folder / name
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            if size is not None and os.fstat(handle).st_size != size:
                os.ftruncate(handle, size)
            view = memoryview(data)
            while view:
                written = os.pwrite(handle, view, offset)
                view, offset = view[written:], offset + written
            if self.ids:
                os.fchown(handle, *self.ids)
        finally:
            os.close(handle)

    def path_to(self, timeline: int) -> list[Switch]:
        """The timelines that lead to `timeline`, with where each is left. Raises DamageError `history-missing`."""
        if timeline == 1 or timeline in self.histories:
            return self.histories.get(timeline, [])
        raise DamageError(
            "history-missing",
            "the history of a timeline is missing",
            f"timeline {timeline}",
            "recover to a point before that timeline began",
        )

    def bridge(self, timeline: int) -> None:
        """A server that switched timelines began the new one with a copy of the segment it was in. Where the ranges
        of the new timeline begin at the switch itself, that copy is made here."""
        order = [*(switch.timeline for switch in self.path_to(timeline)), timeline]
        for switch, child in zip(self.path_to(timeline), order[1:]):
            start = switch.position - switch.position % self.size
            spans = self.extents.get(child, [])
            if child == timeline and not spans:
                # Nothing but its history was archived: it is its parent's log up to the switch.
                start = switch.position - 1 - (switch.position - 1) % self.size
                spans = [(switch.position, switch.position)]
            if start == switch.position or not spans or not spans[0][0] <= switch.position or spans[0][0] <= start:
                continue
            if any(low <= start and switch.position <= high for low, high in self.extents.get(switch.timeline, [])):
                with (self.folder / file_name(switch.timeline, start, self.size)).open("rb") as stream:
                    self.take(child, start, switch.position, [stream.read(switch.position - start)])

    def trim(self) -> None:
        """Drops segments that are not covered from their first byte: a range may begin within one, long before
        anything is needed of it, and neither a server nor pg_waldump reads a segment without its header."""
        for timeline, spans in self.extents.items():
            kept: list[tuple[int, int]] = []
            for low, high in spans:
                first = low + (-low % self.size)
                if first != low and not (kept and kept[-1][1] > low - low % self.size):
                    self._drop(file_name(timeline, low, self.size))
                if first < high:
                    kept.append((first, high))
            self.extents[timeline] = kept

    def _drop(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def end(self, timeline: int) -> int | None:
        """How far the log reaches on a timeline."""
        spans = self.extents.get(timeline)
        return spans[-1][1] if spans else None

    def prove(self, begin: tuple[int, int], end: tuple[int, int]) -> None:
        """Proves that nothing is missing between two positions along the history of the last one's timeline.

        Raises DamageError `log-hole`, `history-missing`, `timeline-unrelated`."""
        timeline, position = begin
        path = [] if timeline == end[0] else self.path_to(end[0])
        ways = {switch.timeline: switch.position for switch in path}
        if timeline != end[0] and ways.get(timeline, -1) < position:
            raise DamageError(
                "timeline-unrelated",
                "the backup set does not lie on the way to the wanted timeline",
                f"the set ends at {join(*begin)}, timeline {end[0]} left it at "
                f"{spell(ways[timeline]) if timeline in ways else 'no point'}",
                "choose an older set or another timeline",
            )
        order = [switch.timeline for switch in path if switch.timeline >= timeline] + [end[0]]
        for step in order if timeline != end[0] else [timeline]:
            until = end[1] if step == end[0] else ways[step]
            while position < until:
                reach = next((high for low, high in self.extents.get(step, []) if low <= position < high), None)
                if reach is None:
                    following = [low for low, _ in self.extents.get(step, []) if low > position]
                    raise DamageError(
                        "log-hole",
                        "a piece of the log is missing",
                        f"from {join(step, position)} to {join(step, min([*following, until]))}",
                        f"the furthest point that can be reached is {join(step, position)}",
                    )
                position = reach
            position = until

    def check(self) -> None:
        """Holds the headers of every covered page against the name of its file. Raises DamageError
        `segment-damaged`."""
        for timeline, spans in self.extents.items():
            for low, high in spans:
                for start in range(low - low % self.size, high, self.size):
                    self._check(timeline, start, max(low, start), min(high, start + self.size))

    def _check(self, timeline: int, start: int, low: int, high: int) -> None:
        """The same for what is covered of the one segment that begins at `start`."""
        name = file_name(timeline, start, self.size)
        data = (self.folder / name).read_bytes()
        ancestors = {timeline} | {switch.timeline for switch in self.histories.get(timeline, [])}
        self._pages(name, data, start, low, high, ancestors)

    def _pages(self, name: str, data: bytes, start: int, low: int, high: int, ancestors: set[int]) -> None:
        first = low + (-low % PAGE)
        for at in range(first, high, PAGE):
            if at + 40 > high:
                break
            mark, info, timeline, address = struct.unpack_from("<HHIQ", data, at - start)
            page_end = min(at + PAGE, high)
            if not mark and data.count(0, at - start, page_end - start) == page_end - at:
                continue  # after a switch the rest of a segment is zero
            self.magic = mark if self.magic is None else self.magic
            why = ""
            if mark != self.magic or address != at:
                why = "a page has the wrong place or version"
            elif timeline not in ancestors:
                why = f"a page is of timeline {timeline}"
            elif at == start:
                identifier, size, page = struct.unpack_from("<QII", data, 24)
                if not info & _LONG_HEADER or size != self.size or page != PAGE:
                    why = "its header is of another kind of server"
                elif str(identifier) != self.system_identifier:
                    why = f"it is of another server, with system identifier {identifier}"
            if why:
                raise DamageError(
                    "segment-damaged", "a log segment is damaged or foreign", f"{name} at {spell(at)}: {why}"
                )


def _conflict(what: str) -> DamageError:
    return DamageError(
        "log-conflict",
        "two copies of the log contradict each other",
        what,
        "two servers may have written to one history: find out which one is right before you recover",
    )


def _size(timeline: int, begin: int, end: int) -> DamageError:
    return DamageError(
        "log-range-size",
        "a range of the log is not as long as its record says",
        f"{join(timeline, begin)} to {spell(end)}",
    )


@dataclass(frozen=True)
class Scan:
    """What `pg_waldump` read."""

    last_record: int | None
    """Where the last valid record begins."""
    end: int | None
    """Where it ends."""
    last_commit: str | None
    """UTC, as PostgreSQL prints it."""


def record_end(begin: int, length: int, segment: int) -> int:
    """Where a record of `length` bytes ends that begins at `begin`: pages have headers, records are aligned to 8."""
    at, left = begin, (length + 7) & ~7
    while left:
        if at % PAGE == 0:
            at += 40 if at % segment == 0 else 24
        piece = min(left, PAGE - at % PAGE)
        at, left = at + piece, left - piece
    return at


def scan(binaries: str, folder: Path, timeline: int, begin: int, size: int, *, commits: bool = False) -> Scan:
    """Finds the last valid record at or after `begin`. An end of the log is no error; nothing readable gives None."""

    def dump(start: int, *more: str) -> tuple[str, str]:
        command = [f"{binaries}/pg_waldump", "-p", str(folder), "-t", str(timeline), "-s", spell(start), *more]
        return execute(command, timeout=3600.0)[1:]

    # Statistics are asked for because they print nothing until the end: the error there names the last good record,
    # and a listing of a long log would be many times its size.
    _, complaint = dump(begin, "--stats")
    named = _AFTER.search(complaint)
    text, _ = dump(lsn(named.group(1)), "-n", "1") if named and lsn(named.group(1)) >= begin else dump(begin)
    records = _RECORD.findall(text)
    if not records:
        return Scan(None, None, None)
    length, position = int(records[-1][0]), lsn(records[-1][1])
    commit = None
    if commits:
        told, _ = dump(max(begin, position - position % size - size), "-r", "Transaction")
        found = _COMMIT.findall(told)
        commit = found[-1] if found else None
    return Scan(position, record_end(position, length, size), commit)


def floor(position: int, segment: int) -> int:
    """Where the record before `position` ends: a page's header may lie between."""
    header = 40 if position % segment < PAGE else 24
    return position - position % PAGE if position % PAGE <= header else position


def unread(folder: Path, timeline: int, last: Scan, end: int, size: int) -> int | None:
    """Where log begins that a server would not read, though it lies before `end` and is no record that was cut there;
    None where all of it can be read."""
    at = last.end or 0
    if at >= end:
        return None
    with (folder / file_name(timeline, at, size)).open("rb") as stream:
        stream.seek(at % size)
        data = stream.read(min(size - at % size, end - at))
    skipped = (40 if at % size == 0 else 24) if at % PAGE == 0 else 0
    head = data[skipped : min(skipped + 16, PAGE - at % PAGE)]
    if not any(data[skipped:]):
        # A switch leaves the rest of its segment empty.
        return None if at + len(data) == end else at
    if len(head) >= 4 and record_end(at, int.from_bytes(head[:4], "little"), size) <= end:
        return at
    return at if len(head) == 16 and int.from_bytes(head[8:], "little") != last.last_record else None


def commit_at(binaries: str, folder: Path, timeline: int, position: int) -> datetime | None:
    """The time of the record at or right behind a position, where that is a commit.

    A server that stops at a position does not count the commit at which it stops as the last one replayed."""
    command = [f"{binaries}/pg_waldump", "-p", str(folder), "-t", str(timeline), "-s", spell(position), "-n", "1"]
    found = _COMMIT.search(execute(command)[1])
    return datetime.fromisoformat(found.group(1)).replace(tzinfo=UTC) if found else None
