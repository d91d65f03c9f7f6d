"""The step `archive-log`: brings the archived log up to what the server has flushed when the step begins.

What the server no longer has is named as a hole and fails the step; it is never skipped. The slot moves on only after
the repositories hold a range and its record.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.catalog.record import LogRecord
from aegis_plan.clock import new_id
from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.repositories.setwriter import SetWriter
from aegis_plan.sealing.keys import new_data_key
from aegis_plan.sealing.signatures import digest
from aegis_plan.stores.archive import missing, proved, put_key, reachable, shelf_of, signing, write_record
from aegis_plan.stores.postgresql.basebackup import sample
from aegis_plan.stores.postgresql.connection import Connection, ask, connect, connection_string
from aegis_plan.stores.postgresql.continuity import Ending, behind, ending, forked, told
from aegis_plan.stores.postgresql.history import History, read_history
from aegis_plan.stores.postgresql.model import LogParams
from aegis_plan.stores.postgresql.positions import Position, format_lsn, parse, parse_lsn, segment_floor
from aegis_plan.stores.postgresql.replication import Replication, ServerError
from aegis_plan.stores.postgresql.settings import segment_size
from aegis_plan.stores.postgresql.slot import checked, read_slot

BUSY_SECONDS = 5.0
RANGE = 64 << 20
"""Most bytes of one range."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Archive:
    """Writes ranges and histories of one lineage."""

    context: Context
    store: str
    lineage: str
    covered: datetime = _NEVER
    """What was covered before: a range that proves nothing newer says this."""
    known: set[int] = field(default_factory=set)
    """Timelines whose history is archived."""
    heads: tuple[str, ...] = ()
    last: Ending | None = None
    """How what lies before the begin ends."""
    written: dict[str, str] = field(default_factory=dict)
    size: int = 0
    """Plain bytes written so far."""

    def learn(self, begin: Position | None) -> None:
        """Reads the records: heads, histories, until when commits are covered at `begin`, and what lies before it."""
        shelf = shelf_of(self.context, self.store)
        self.heads = tuple(shelf.heads.get(f"{self.lineage}/log", ()))
        for record in shelf.records:
            if isinstance(record, LogRecord) and record.lineage == self.lineage:
                if record.details.get("history"):
                    self.known.add(parse(record.end).timeline)
                elif begin is not None and (end := parse(record.end)).timeline == begin.timeline and end <= begin:
                    self.covered = max(self.covered, record.covers_until)
                    self.last = (ending(record) or self.last) if end == begin else self.last

    def put(self, begin: Position, end: Position, data: bytes, covers: datetime | None, **details: Any) -> None:
        """Seals, stores and records one range. Raises UnavailableError `too-few-copies`."""
        context = self.context
        sealing, private = signing(context)
        self.covered = max(self.covered, covers or _NEVER)
        now = context.clock.now()
        identity = new_id(now)
        key = new_data_key(f"log-{now:%Y%m%d}-{os.urandom(6).hex()}")
        store = context.declared.stores[self.store]
        ready = put_key(context, self.store, self.lineage, key, reachable(context, store))
        name = "history" if details.get("history") else f"{begin.lsn:016X}-{end.lsn:016X}"
        with SetWriter(
            ready,
            system=context.declared.system.name,
            store=self.store,
            lineage=self.lineage,
            root=f"log/{end.timeline:08X}",
            key=key,
            level=store.backup.compression if store.backup else 3,
            stop=context.check,
            progress=lambda _done: None,
            minimum_copies=sealing.minimum_copies,
        ) as writer:
            # The suffix keeps a range that a killed attempt sealed with another key from standing in the way.
            writer.add(f"{name}-{identity[-6:]}", [data], volumes=False)
            written = writer.finish()
        for repository, why in written.dropped.items():
            missing(context, repository, why)
        record = LogRecord(
            id=identity,
            system=context.declared.system.name,
            store=self.store,
            lineage=self.lineage,
            written=now,
            site=context.attempt.site,
            previous=self.heads,
            begin=str(begin),
            end=str(end),
            covers_until=self.covered,
            key=key.name,
            objects=written.objects,
            details=details if details.get("history") else {**told(end.lsn, data), **details},
        )
        copies = proved(context, written, ready, sealing.minimum_copies, key)
        write_record(context, record, private, copies, sealing.minimum_copies)
        mark = digest(record)
        self.heads = (mark,)
        self.written[record.id] = mark
        self.size += len(data)


@dataclass
class Feed:
    """The log of one member as the server sends it, over timelines."""

    context: Context
    text: str
    where: str
    slot: str
    wire: Replication
    history: History
    segment: int
    _ahead: tuple[int, memoryview] | None = None

    def start(self, at: Position, before: Ending | None = None) -> None:
        """Begins to receive. `before` is how what is archived before `at` ends, which the server has to have too.

        Raises AegisError `log-hole`, `log-forked`, UnavailableError `slot-in-use`."""
        self._ahead = None
        if before is None or not self._holds(at, before):
            self._start(at)

    def _holds(self, at: Position, before: Ending) -> bool:
        """Begins a little before `at` and compares; False where the server no longer has that log. That happens only
        where its slot was moved on to `at`, which says by itself that this server is the one that was archived."""
        begin = at.lsn - before.size
        data = b""
        try:
            self._start(Position(at.timeline, begin))
            while len(data) < before.size:
                found = self.read(Position(at.timeline, begin + len(data)))
                if found is None:
                    return False
                if not isinstance(found, bool):
                    data += found[1]
        except AegisError as error:
            if error.code != "log-hole":
                raise
            self.wire.drain()
            return False
        if not before.fits(data):
            raise forked(self.where, f"the log before {at} is another than the archived one")
        if len(data) > before.size:
            self._ahead = at.lsn, memoryview(data)[before.size :]
        return True

    def renew(self) -> None:
        """Another connection, where this one stands in the middle of a copy."""
        self.wire.close()
        self.wire = Replication(self.text, self.where, self.context.check)

    def _start(self, at: Position) -> None:
        command = f"START_REPLICATION SLOT {checked(self.slot)} PHYSICAL {format_lsn(at.lsn)} TIMELINE {at.timeline}"
        limit = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self.wire.send(command)
                self.wire.result()
                return
            except ServerError as error:
                # The server notices only after a while that a reader before us was killed.
                if error.sqlstate != "55006" or time.monotonic() > limit:
                    raise self.translated(error, at) from None
                self.wire.drain()
                time.sleep(0.1)

    def translated(self, error: ServerError, at: Position) -> AegisError:
        if error.sqlstate == "55006":
            return UnavailableError(
                "slot-in-use", "another client reads the slot", f"{self.where}: {self.slot}", "end the other stream"
            )
        if error.sqlstate == "42704":
            return AegisError(
                "slot-missing", "the slot does not exist", f"{self.where}: {self.slot}", "make a new plan"
            )
        if error.sqlstate in ("58P01", "55000") or "removed" in error.said:
            return hole(self.where, at, error.said)
        return error

    def read(self, at: Position, seconds: float | None = None) -> tuple[int, memoryview] | bool | None:
        """Begin and bytes of the next piece; None when the timeline ended; False when nothing came in time."""
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            return ahead
        try:
            message = self.wire.read(seconds)
            if message is None:
                self.wire.leave_copy()
                return None
        except ServerError as error:
            raise self.translated(error, at) from None
        if not isinstance(message, memoryview):
            return False
        if message[0] != 0x77:
            return False
        return int.from_bytes(message[1:9], "big"), message[25:]


def hole(where: str, at: Position, said: str) -> AegisError:
    """The server no longer has its log from `at`."""
    return AegisError(
        "log-hole",
        "the log has a hole",
        f"{where}: the server no longer has its log from {at} on ({said})",
        "`aegis plan` takes a full, from which the log is whole again",
    )


def open_feed(context: Context, store: str, member: str, lineage: str, slot: str) -> tuple[Feed, Connection, int]:
    """Connections to a member, its timeline history, and the position that it has flushed.

    Raises AegisError `lineage-changed`, `slot-missing` and what connecting raises."""
    where = f"{store}/{member}"
    text = connection_string(context, store, member)
    sql = connect(text, where, context.check)
    wire = None
    try:
        wire = Replication(text, where, context.check)
        system, timeline, flushed, _ = wire.rows("IDENTIFY_SYSTEM")[0]
        if system != lineage.rpartition("-")[0]:
            raise AegisError(
                "lineage-changed",
                "the server has another history than was planned for",
                f"{where}: system identifier {system}, the plan was made for {lineage}",
                "make a new plan",
            )
        return (
            Feed(context, text, where, slot, wire, read_history(wire, int(timeline or 0)), segment_size(sql, where)),
            sql,
            parse_lsn(flushed or ""),
        )
    except BaseException:
        if wire is not None:
            wire.close()
        sql.close()
        raise


def first(feed: Feed, sql: Connection, begin: str | None) -> Position:
    """Where to begin: where the archive ends, or at the segment of the slot's restart position."""
    if begin is not None:
        return parse(begin)
    found = read_slot(sql, feed.slot, feed.where)
    if found is None or found.restart_lsn is None:
        if found is not None and found.wal_status == "lost":
            raise hole(feed.where, Position(feed.history.timeline, 0), f"the slot {feed.slot} was lost")
        raise AegisError("slot-missing", "the slot does not exist", f"{feed.where}: {feed.slot}", "make a new plan")
    lsn = segment_floor(parse_lsn(found.restart_lsn), feed.segment)
    return Position(feed.history.owner(lsn), lsn)


def histories(archive: Archive, feed: Feed) -> None:
    """Archives the history of the server's timeline before anything that lies on it."""
    timeline = feed.history.timeline
    if timeline > 1 and timeline not in archive.known:
        before, switch = feed.history.switches[-1]
        archive.put(
            Position(before, switch),
            Position(timeline, switch),
            feed.history.text.encode(),
            None,
            history=True,
            text=feed.history.text,
        )
        archive.known.add(timeline)


def not_behind(feed: Feed, sql: Connection, begin: Position, flushed: int) -> None:
    """Raises AegisError `log-forked` for a primary that has not written as far as it is archived. A replica may lag."""
    if begin.timeline != feed.history.timeline or flushed >= begin.lsn:
        return
    if not ask(sql, "SELECT pg_is_in_recovery()", feed.where)[0][0]:
        raise behind(feed.where, flushed, begin)


def ranges(
    feed: Feed, begin: Position, target: int, before: Ending | None = None
) -> Iterator[tuple[Position, Position, bytes]]:
    """Everything from `begin` to `target` on the server's timeline, in pieces, over each timeline on the way. `before`
    is as `Feed.start` takes it."""
    at = begin
    while True:
        last = at.timeline == feed.history.timeline
        goal = target if last else feed.history.left(at.timeline)
        if at.lsn < goal:
            try:
                feed.start(at, before if at == begin else None)
            except AegisError as error:
                if last or error.code != "log-forked":
                    raise
                # The server was given a timeline of its own since: there it begins, and what lies between stays a hole.
                feed.context.find("warning", "log-hole", "the log has a hole", error.detail, "the plan takes a full")
                feed.renew()
                at = Position(feed.history.after(at.timeline), segment_floor(goal, feed.segment))
                continue
            parts: list[bytes] = []
            size = 0
            while at.lsn + size < goal:
                found = feed.read(Position(at.timeline, at.lsn + size))
                if found is None:
                    break
                if isinstance(found, bool):
                    continue
                start, data = found
                if start != at.lsn + size:
                    raise hole(feed.where, Position(at.timeline, at.lsn + size), f"it went on at {format_lsn(start)}")
                data = data[: goal - at.lsn - size]
                parts.append(bytes(data))
                size += len(data)
                if size >= RANGE or at.lsn + size >= goal:
                    end = Position(at.timeline, at.lsn + size)
                    yield at, end, b"".join(parts)
                    at, parts, size = end, [], 0
            if at.lsn < goal:  # the copy ended before its goal
                raise hole(feed.where, Position(at.timeline, at.lsn + size), "the server ended its log there")
            while not last and feed.read(at) is not None:
                pass  # the server says itself that the old timeline ended, and is then ready for the next
        if last:
            return
        following = feed.history.after(at.timeline)
        at = Position(following, segment_floor(goal, feed.segment))


class ArchiveLog:
    """Archive the log."""

    kind = "archive-log"

    def probe(self, context: Context) -> Probed:
        done = next((mark.data for mark in context.marks if mark.name == "archived"), None)
        return Probed("satisfied", outputs=done) if done is not None else Probed("needed")

    def act(self, context: Context) -> Done:
        params = LogParams.model_validate(context.attempt.params)
        feed, sql, _ = open_feed(context, params.store, params.member, params.lineage, params.slot)
        try:
            clock, target = sample(sql, feed.where)
            earlier = [mark.data["end"] for mark in context.marks if mark.name == "range"]
            begin = first(feed, sql, earlier[-1] if earlier else params.begin)
            not_behind(feed, sql, begin, target)
            archive = Archive(context, params.store, params.lineage)
            archive.learn(begin)
            histories(archive, feed)
            end = begin
            for low, high, data in ranges(feed, begin, target, archive.last):
                whole = high.timeline == feed.history.timeline and high.lsn >= target
                archive.put(low, high, data, clock if whole else None)
                context.mark("range", begin=str(low), end=str(high))
                # Log of older timelines must not move the slot past what the present one still needs.
                if high.timeline == feed.history.timeline:
                    feed.wire.confirm(high.lsn, high.lsn)
                    end = high
                context.progress("archive the log", archive.size)
        finally:
            feed.wire.close()
            sql.close()
        outputs = {
            "records": archive.written,
            "begin": str(begin),
            "end": str(end),
            "covers_until": archive.covered.isoformat(),
            "bytes": archive.size,
            "idle": not archive.written,
        }
        context.mark("archived", **outputs)
        return Done(outputs)

    def undo(self, context: Context) -> Done:
        return Done()  # what was archived is true and stays


ACTION = ArchiveLog()
