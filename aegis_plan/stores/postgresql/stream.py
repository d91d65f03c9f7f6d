"""The log stream that a site's daemon keeps running: every few seconds what the server flushed is in the repositories.

While a repository is away the log stays on the server, kept by the slot; nothing is confirmed that is not archived.
"""

from __future__ import annotations

import os

from aegis_plan.actions.contract import Context
from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.stores.archive import shelf_of
from aegis_plan.stores.postgresql.basebackup import sample
from aegis_plan.stores.postgresql.chains import FOREVER
from aegis_plan.stores.postgresql.connection import ask, connect, connection_string
from aegis_plan.stores.postgresql.history import History
from aegis_plan.stores.postgresql.log import Archive, first, histories, hole, not_behind, open_feed, ranges
from aegis_plan.stores.postgresql.model import StreamParams
from aegis_plan.stores.postgresql.positions import Position, format_lsn, parse

FULL = 16 << 20
"""Bytes at which a range is written at once."""
KEEP_ALIVE = 5.0


def interval() -> float:
    """Seconds after which a range is written at the latest (`AEGIS_STREAM_SECONDS`)."""
    try:
        return max(0.05, float(os.environ.get("AEGIS_STREAM_SECONDS", "10")))
    except ValueError:
        return 10.0


def archive_end(context: Context, store: str, lineage: str, history: History) -> str | None:
    """The furthest position that the records reach on the way to the server's timeline.

    Log behind the point where the server left a timeline belongs to a branch that it did not take."""
    upto = {**dict(history.switches), history.timeline: FOREVER}
    order = {timeline: place for place, timeline in enumerate(upto)}
    ends = []
    for record in shelf_of(context, store).records:
        if not isinstance(record, LogRecord) or record.lineage != lineage or record.details.get("history"):
            continue
        begin, end = parse(record.begin), parse(record.end)
        if end.timeline in upto and begin.lsn < upto[end.timeline]:
            ends.append((order[end.timeline], Position(end.timeline, min(end.lsn, upto[end.timeline]))))
    return str(max(ends)[1]) if ends else None


def stream(context: Context, params: StreamParams) -> None:
    """Streams until `context.check` raises. Progress says phase `streaming <position> <covers until>`.

    Raises UnavailableError where trying again can help; the daemon does. Raises AegisError `log-hole`,
    `log-forked`."""
    try:
        _stream(context, params, anew=False)
    except AegisError as error:
        if error.code != "log-hole":
            raise
        try:
            _stream(context, params, anew=True)
        except _NoGroundError:
            raise error from None


class _NoGroundError(Exception):
    """No set was taken behind the hole: beginning there would hide it."""


def _grounded(context: Context, store: str, lineage: str, begin: Position) -> Position:
    """`begin`, where a set lies behind it on its timeline. Raises _NoGroundError."""
    for record in shelf_of(context, store).records:
        if isinstance(record, SetRecord) and record.lineage == lineage and record.method == "full":
            at = parse(record.begin)
            if at.timeline == begin.timeline and at.lsn >= begin.lsn:
                return begin
    raise _NoGroundError


def _stream(context: Context, params: StreamParams, *, anew: bool) -> None:
    """`anew`: from where the slot reserves the log, though the archive ends before: a full lies behind the hole."""
    where = f"{params.store}/{params.member}"
    lineage = params.lineage or _lineage(context, params, where)
    feed, sql, flushed = open_feed(context, params.store, params.member, lineage, params.slot)
    try:
        if anew:
            begin = _grounded(context, params.store, lineage, first(feed, sql, None))
        else:
            begin = first(feed, sql, archive_end(context, params.store, lineage, feed.history))
        not_behind(feed, sql, begin, flushed)
        archive = Archive(context, params.store, lineage)
        archive.learn(begin)
        histories(archive, feed)
        at = begin
        if begin.timeline != feed.history.timeline:
            for low, high, data in ranges(feed, begin, flushed, archive.last):
                archive.put(low, high, data, None)
                at = high
            # The connection may stand in the middle of a copy: the endless one begins afresh.
            raise UnavailableError(
                "timeline-followed",
                "the stream caught up with a new timeline",
                f"{where}: {at}",
                "it goes on by itself",
            )
        feed.start(at, archive.last)
        clock = context.clock
        parts: list[bytes] = []
        size = 0
        confirmed = last = clock.monotonic()
        proof = None
        context.progress(f"streaming {at} {archive.covered.isoformat()}", archive.size)
        while True:
            context.check()
            found = feed.read(Position(at.timeline, at.lsn + size), 0.2)
            if found is None:
                raise UnavailableError("server-lost", "the connection to the server broke", where, "it is tried again")
            if not isinstance(found, bool):
                start, body = found
                if start != at.lsn + size:
                    raise hole(where, Position(at.timeline, at.lsn + size), f"it went on at {format_lsn(start)}")
                parts.append(bytes(body))
                size += len(body)
            now = clock.monotonic()
            due = now - last >= interval()
            if size and proof is None and (due or size >= FULL):
                proof = sample(sql, where)
            reached = proof is not None and at.lsn + size >= proof[1]
            if size and (size >= FULL or (due and reached)):
                end = Position(at.timeline, at.lsn + size)
                archive.put(at, end, b"".join(parts), proof[0] if proof is not None and reached else None)
                feed.wire.confirm(end.lsn, end.lsn)
                at, parts, size = end, [], 0
                last = confirmed = clock.monotonic()
                proof = None if reached else proof
                context.progress(f"streaming {at} {archive.covered.isoformat()}", archive.size)
            elif now - confirmed >= KEEP_ALIVE:
                feed.wire.confirm(at.lsn, at.lsn + size)
                confirmed = now
    finally:
        feed.wire.close()
        sql.close()


def _lineage(context: Context, params: StreamParams, where: str) -> str:
    with connect(connection_string(context, params.store, params.member), where, context.check) as sql:
        try:
            rows = ask(
                sql,
                "SELECT system_identifier::text, current_setting('server_version_num')::int / 10000"
                " FROM pg_control_system()",
                where,
            )
        except AegisError as error:
            raise AegisError("lineage-unknown", "the server does not tell its history", where, error.detail) from None
    return f"{rows[0][0]}-{rows[0][1]}"
