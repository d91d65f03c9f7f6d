"""The step `archive-tail`: what an old, stopped server wrote and nobody archived goes into the repositories.

It only reads the old data directory. A directory that cannot be read, or that belongs to another history, is a finding
and no failure: the recovery goes on with what the archive has.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.catalog.record import LogRecord
from aegis_plan.clock import new_id, stamp
from aegis_plan.errors import AegisError
from aegis_plan.repositories import keys, records
from aegis_plan.repositories.setwriter import SetWriter
from aegis_plan.sealing.keys import new_data_key, wrap
from aegis_plan.sealing.signatures import digest
from aegis_plan.stores.postgresql.control import cluster, declared_server, status
from aegis_plan.stores.postgresql.model import Server, TailParams
from aegis_plan.stores.postgresql.positions import parse, segment_name
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
        if status(server) != "stopped":
            raise AegisError(
                "server-still-running",
                "the log of a running server has no end",
                f"{server.data_directory}: its server is {status(server)}",
                "stop it first",
            )
        folder = Path(server.data_directory) / "pg_wal"
        begin = parse(params.begin)
        try:
            found = cluster(server.binaries, server.data_directory)
        except AegisError as error:
            return _missed(context, "old-log-unreadable", "the old data directory cannot be read", error.detail)
        if found.system_identifier != params.lineage.rpartition("-")[0]:
            return _missed(
                context,
                "old-log-foreign",
                "the old data directory holds another server",
                f"{server.data_directory}: system identifier {found.system_identifier}, wanted {params.lineage}",
            )
        if not (folder / segment_name(begin.timeline, begin.lsn, found.segment_size)).exists():
            return _missed(
                context,
                "old-log-not-contiguous",
                "the old server's log does not begin where the archive ends",
                f"{segment_name(begin.timeline, begin.lsn, found.segment_size)} is not in {folder}",
            )
        end, commit = self._end(server, folder, begin.timeline, begin.lsn, found.segment_size)
        if end is None or end <= begin.lsn:
            return Done({"records": {}, "end": params.begin, "last_commit": None})
        for number, low in enumerate(range(begin.lsn, end, PART)):
            high = min(low + PART, end)
            chunks = _read(context, folder, begin.timeline, low, high, found.segment_size)
            identifier, mark = write_range(context, params.store, params.lineage, begin.timeline, low, high, chunks)
            context.mark("range", record=identifier, digest=mark, number=number)
            context.progress("archive the old log", high - begin.lsn, end - begin.lsn)
        context.mark("archived", end=join(begin.timeline, end), last_commit=commit)
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
    ranges = {mark.data["record"]: mark.data["digest"] for mark in context.marks if mark.name == "range"}
    end = next(mark.data for mark in context.marks if mark.name == "archived")
    return {"records": ranges, "end": end["end"], "last_commit": end["last_commit"]}


def _read(context: Context, folder: Path, timeline: int, begin: int, end: int, size: int) -> Iterator[bytes]:
    at = begin
    while at < end:
        context.check()
        upto = min(end, at - at % size + size, at + (1 << 20))
        with open(folder / segment_name(timeline, at, size), "rb") as stream:
            stream.seek(at % size)
            data = stream.read(upto - at)
        if len(data) != upto - at:
            raise AegisError(
                "old-log-cut", "a segment of the old server's log is too short", segment_name(timeline, at, size)
            )
        yield data
        at = upto


def write_range(
    context: Context, store: str, lineage: str, timeline: int, begin: int, end: int, chunks: Iterator[bytes]
) -> tuple[str, str]:
    """Seals one range, puts it into all repositories and writes its record; gives the record's id and digest.

    The server is stopped, so that whatever it acknowledged until now is in its log: the range covers until now.
    Raises UnavailableError `too-few-copies`, AegisError `signing-key-missing`."""
    system, sealing, now = context.declared.system.name, context.declared.sealing, context.clock.now()
    if context.keys.signing is None or sealing is None:
        raise AegisError(
            "signing-key-missing",
            "this site cannot sign what it archives",
            f"site {context.attempt.site}",
            "name `signing_key` in the site file and `sealing` in the documents",
        )
    identifier = new_id(now)
    key = new_data_key(f"log-{now:%Y%m%d}-{os.urandom(4).hex()}")
    blob = wrap(key, sealing)
    ready = {}
    for name, repository in context.repositories.items():
        with contextlib.suppress(AegisError):
            repository.put(keys.data_key(system, store, lineage, key.name, 0), blob)
            ready[name] = repository
    # The identifier keeps a range of a killed attempt, sealed with another key, from standing in the way.
    with SetWriter(
        ready,
        system=system,
        store=store,
        lineage=lineage,
        root=f"log/{timeline:08X}",
        key=key,
        level=1,
        stop=context.check,
        progress=lambda _done: None,
        minimum_copies=sealing.minimum_copies,
    ) as writer:
        writer.add(f"{begin:016X}-{end:016X}-{identifier[-6:]}", chunks, volumes=False)
        written = writer.finish()
    copies = {name: context.repositories[name] for name in written.copies}
    shelf = records.shelf(system, store, sealing.signers, dict(context.repositories), cache=None)
    record = LogRecord(
        id=identifier,
        system=system,
        store=store,
        lineage=lineage,
        written=now,
        site=context.attempt.site,
        previous=tuple(shelf.heads.get(f"{lineage}/log", ())),
        begin=join(timeline, begin),
        end=join(timeline, end),
        covers_until=now,
        key=key.name,
        objects=written.objects,
        details={"tail": True},
    )
    failed = {
        name: why
        for name, why in records.write(record, context.attempt.site, context.keys.signing, copies).items()
        if why
    }
    if len(copies) - len(failed) < sealing.minimum_copies:
        raise AegisError("too-few-copies", "too few repositories took the data", "; ".join(failed.values()))
    for name, why in {**written.dropped, **failed}.items():
        context.find("warning", "copy-missing", "a repository did not take a copy", f"{name}: {why}")
    return identifier, digest(record)


ACTION = Tail()
