"""The step `archive-tail`: what an old, stopped server wrote and nobody archived goes into the repositories.

It only reads the old data directory. A directory that cannot be read, or that belongs to another history, is a finding
and no failure: the recovery goes on with what the archive has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.clock import stamp
from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql.control import certain, declared_server
from aegis_plan.stores.postgresql.log import Archive
from aegis_plan.stores.postgresql.model import Server, TailParams
from aegis_plan.stores.postgresql.oldlog import OldLog, Stretch
from aegis_plan.stores.postgresql.positions import Position, format_lsn, parse, segment_name
from aegis_plan.stores.postgresql.remains import owner, record_behind
from aegis_plan.stores.postgresql.segments import join, scan

PART = 64 << 20
"""Most bytes of one range."""


def _missed(context: Context, code: str, summary: str, detail: str) -> Done:
    context.find("warning", code, summary, detail, "what the old server wrote after the archive's end is not recovered")
    return Done({"records": {}, "end": None, "last_commit": None})


class Tail:
    """Archive the log that the old server left."""

    kind = "archive-tail"

    def probe(self, context: Context) -> Probed:
        if any(mark.name == "archived" for mark in context.marks):
            return Probed("satisfied", outputs=_outputs(context))
        return Probed("needed")

    def act(self, context: Context) -> Done:
        if self.probe(context).answer == "satisfied":
            return Done(_outputs(context))
        params = TailParams.model_validate(context.attempt.params)
        server = declared_server(context, params.store, params.member)
        if certain(server):
            raise AegisError(
                "server-still-running",
                "the log of a running server has no end",
                f"{server.data_directory}: it still says that it runs",
                "stop it first; where it is stopped already, correct how `control` asks for its status",
            )
        # It is stopped: whatever it acknowledged was acknowledged before now.
        covers = context.clock.now()
        folder = Path(server.data_directory) / "pg_wal"
        begin = parse(params.begin)
        # The log tells whose it is: the rest of the directory may be broken.
        found = owner(folder)
        if found is None:
            return _missed(context, "old-log-unreadable", "the old server's log cannot be read", str(folder))
        if found.system_identifier != params.lineage.rpartition("-")[0]:
            return _missed(
                context,
                "old-log-foreign",
                "the old data directory holds another server",
                f"{server.data_directory}: system identifier {found.system_identifier}, wanted {params.lineage}",
            )
        timeline = params.timeline or begin.timeline
        line = OldLog(folder, found.segment_size, timeline, begin) if timeline != begin.timeline else None
        start = line.left if line is not None else begin.lsn
        if line is None and not (folder / segment_name(begin.timeline, begin.lsn, found.segment_size)).exists():
            return _missed(
                context,
                "old-log-not-contiguous",
                "the old server's log does not begin where the archive ends",
                f"{segment_name(begin.timeline, begin.lsn, found.segment_size)} is not in {folder}",
            )
        end, commit = self._end(server, folder, timeline, start, found.segment_size)
        upto = max(end or 0, start)
        behind = record_behind(folder, timeline, upto, found.segment_size)
        if behind is not None:
            context.find(
                "warning",
                "old-log-damaged",
                "the old server's log is damaged, and what lies behind the damage is lost",
                f"{folder}: it can be read to {format_lsn(upto)}, and whole records follow, the first at "
                f"{format_lsn(behind)}",
                "the old data directory is kept; a copy of that segment from elsewhere would bring the rest back",
            )
        whole = covers if behind is None else None
        told = {"last_commit": commit, "covers_until": stamp(whole) if whole else None}
        if line is None and upto <= begin.lsn:
            return Done({**told, "records": {}, "end": params.begin, "last_commit": None})
        archive = Archive(context, params.store, params.lineage)
        archive.learn(begin)
        stretches = [Stretch(timeline, begin.lsn, upto)]
        if line is not None:
            stretches = line.stretches(upto)
            for switch in line.histories(archive.known):
                archive.put(
                    Position(switch.before, switch.left),
                    Position(switch.timeline, switch.left),
                    switch.text.encode(),
                    None,
                    history=True,
                    text=switch.text,
                )
        for owner_, first, final in stretches:
            for low in range(first, final, PART):
                high = min(low + PART, final)
                data = b"".join(_read(context, folder, line, owner_, low, high, found.segment_size))
                last = whole if owner_ == timeline and high == upto else None
                archive.put(Position(owner_, low), Position(owner_, high), data, last, tail=True)
                context.progress("archive the old log", high - begin.lsn, max(upto - begin.lsn, high - begin.lsn))
        context.mark("range", records=dict(archive.written))
        context.mark("archived", end=join(timeline, upto), **told)
        return Done(_outputs(context))

    def undo(self, context: Context) -> Done:
        return Done()  # what was archived is true and stays

    def _end(self, server: Server, folder: Path, timeline: int, begin: int, size: int) -> tuple[int | None, str | None]:
        """Where the last whole record ends, over as many segments as are there; and the time of its last commit."""
        last = scan(server.binaries, folder, timeline, begin, size, commits=True)
        moment = None
        if last.last_commit is not None:
            with contextlib.suppress(ValueError):
                moment = stamp(datetime.fromisoformat(last.last_commit).replace(tzinfo=UTC))
        return last.end, moment


def _outputs(context: Context) -> dict[str, Any]:
    ranges = {
        key: value for mark in context.marks if mark.name == "range" for key, value in mark.data["records"].items()
    }
    end = next(mark.data for mark in context.marks if mark.name == "archived")
    return {"records": ranges, **{name: end.get(name) for name in ("end", "last_commit", "covers_until")}}


def _read(
    context: Context, folder: Path, line: OldLog | None, timeline: int, begin: int, end: int, size: int
) -> Iterator[bytes]:
    at = begin
    while at < end:
        context.check()
        upto = min(end, at - at % size + size, at + (1 << 20))
        path = folder / segment_name(timeline, at, size) if line is None else line.file(timeline, at)
        with open(path, "rb") as stream:
            stream.seek(at % size)
            data = stream.read(upto - at)
        if len(data) != upto - at:
            raise AegisError(
                "old-log-cut", "a segment of the old server's log is too short", segment_name(timeline, at, size)
            )
        yield data
        at = upto


ACTION = Tail()
