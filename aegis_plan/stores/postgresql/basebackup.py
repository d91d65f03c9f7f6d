"""A backup being taken over the replication protocol: archives as streams of bytes, as the server sends them.

It never takes an incremental that could lose changes in silence: what does not fit makes it a full, with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.stores.archive import shelf_of
from aegis_plan.stores.postgresql.connection import Connection, ask, connect, connection_string
from aegis_plan.stores.postgresql.continuity import behind, differs, furthest
from aegis_plan.stores.postgresql.model import FIRST_INCREMENTAL, BackupParams
from aegis_plan.stores.postgresql.pages import NAME as PAGES
from aegis_plan.stores.postgresql.pages import Pages, reduced
from aegis_plan.stores.postgresql.parent import Parent, parent_of
from aegis_plan.stores.postgresql.positions import format_lsn, parse, parse_lsn
from aegis_plan.stores.postgresql.replication import Replication, ServerError, table
from aegis_plan.stores.postgresql.settings import configuration, details, setting
from aegis_plan.stores.postgresql.tarindex import TarIndex
from aegis_plan.stores.postgresql.transfer import OPTIONS, opened

CHUNK = 256 << 10
SAMPLE_SECONDS = 0.25
_WAITING = "pg_logical_emit_message(true, 'aegis', '')"


def sample(connection: Connection, where: str) -> tuple[datetime, int]:
    """A moment of the server's clock, and a position that is not before any commit acknowledged until then."""
    moment, lsn, open_ = ask(
        connection,
        "WITH t AS MATERIALIZED (SELECT clock_timestamp() AS t, pg_is_in_recovery() AS r)"
        " SELECT CASE WHEN r THEN least(t, coalesce(pg_last_xact_replay_timestamp(), t)) ELSE t END,"
        " CASE WHEN r THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END::text,"
        " CASE WHEN r THEN false ELSE pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn() END FROM t",
        where,
    )[0]
    if open_:
        # A commit with synchronous_commit off is acknowledged before it is flushed. One that waits flushes them all.
        ask(connection, f"SELECT set_config('synchronous_commit', 'local', true), {_WAITING}", where)
        lsn = ask(connection, "SELECT pg_current_wal_flush_lsn()::text", where)[0][0]
    return moment.astimezone(UTC), parse_lsn(lsn)


class Source:
    """One backup of one member. Made by the driver; `close` ends its connections."""

    def __init__(self, context: Context, params: BackupParams) -> None:
        self._context, self._params = context, params
        self._where = f"{params.store}/{params.member}"
        self._text = connection_string(context, params.store, params.member)
        self._sql = connect(self._text, self._where, context.check)
        self._wire: Replication | None = None
        self.method: Literal["full", "incremental"] = "full"
        self.parent: str | None = None
        self.why_full = params.why_full
        self.expected = 0
        """Bytes that the server expects to send."""
        self._index = TarIndex()
        self._sent: set[str] = set()
        """Paths of the base archive outside the folders of relations."""
        self._sample: tuple[datetime, int] | None = None
        self._samples: list[tuple[datetime, int]] = []
        self._sampled = 0.0
        self._before: Pages | None = None
        """Of an incremental by pages: the hashes of its parent."""
        self._now: Pages | None = None
        """The hashes of this set, where another may be built on it by pages."""
        backup = context.declared.stores[params.store].backup
        self._compression: str = backup.transfer_compression if backup is not None else "none"
        self.by = ""
        """How an incremental was found that is not the server's own, and why."""
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for pages in (self._before, self._now):
            if pages is not None:
                pages.close()
        if self._wire is not None:
            self._wire.close()
        self._sql.close()

    def _open(self) -> Replication:
        if self._wire is not None:
            self._wire.close()
        self._wire = Replication(self._text, self._where, self._context.check)
        return self._wire

    def _begin(self) -> None:
        wire = self._open()
        identity = wire.rows("IDENTIFY_SYSTEM")[0]
        self._timeline = int(identity[1] or 0)
        self._details = details(self._sql, self._text, self._where)
        lineage = f"{identity[0]}-{self._details['version'] // 10000}"
        if lineage != self._params.lineage:
            raise AegisError(
                "lineage-changed",
                "the server has another history than was planned for",
                f"{self._where}: it is {lineage}, the plan was made for {self._params.lineage}",
                "make a new plan; if the server was replaced by mistake, look before backing it up",
            )
        self._not_behind()
        self.begun = sample(self._sql, self._where)[0]
        if self._params.method == "incremental":
            self.why_full = self._choose(wire)
            if self.why_full:
                self._context.find("note", "full-instead", "a full was taken instead of an incremental", self.why_full)
        if self.method == "full" or self._before is not None:
            self._start(self._open(), "")
        backup = self._context.declared.stores[self._params.store].backup
        followed = bool(self.why_full) or (backup is not None and backup.incremental is not None)
        if self._before is not None or (followed and self._lacking()):
            self._now = Pages(self._context.folder, self._details["block_size"])

    def _not_behind(self) -> None:
        """A set from where other log is archived already would be joined to that. Raises AegisError `log-forked`."""
        self._records = shelf_of(self._context, self._params.store).records
        before = furthest(self._records, self._params.lineage, self._timeline)
        if before is None or ask(self._sql, "SELECT pg_is_in_recovery()", self._where)[0][0]:
            return
        flushed = parse_lsn(ask(self._sql, "SELECT pg_current_wal_flush_lsn()::text", self._where)[0][0])
        if flushed < before.lsn:
            raise behind(self._where, flushed, before)

    def _choose(self, wire: Replication) -> str:
        """Begins an incremental, the server's own or one by pages; gives why it cannot be, or nothing."""
        parent = parent_of(self._context, self._params)
        if isinstance(parent, str):
            return parent
        before = parse(parent.record.end).timeline
        if before != self._timeline or self._params.timeline not in (None, self._timeline):
            return f"the server is on timeline {self._timeline}, the parent is of timeline {before}"
        other = differs(
            self._text, self._where, self._context.check, self._records, self._params.lineage, self._timeline
        )
        if other:
            return other
        lacking = self._lacking() or self._natively(wire, parent)
        if not lacking:
            self.method, self.parent = "incremental", parent.record.set
            return ""
        pages = parent.pages()
        if isinstance(pages, str):
            return f"{lacking}, and {pages}"
        if pages.block_size != self._details["block_size"]:
            return "the server's pages are of another size than the parent's"
        self._before, self.by = pages, f"pages: {lacking}"
        self.method, self.parent = "incremental", parent.record.set
        return ""

    def _lacking(self) -> str:
        """Why the server cannot give an incremental of its own without a doubt, or nothing."""
        version = self._details["version"]
        if version < FIRST_INCREMENTAL:
            return f"PostgreSQL {version // 10000} takes no incremental backups, 17 is the first that does"
        if not (self._details["data_checksums"] or self._details["wal_log_hints"]):
            return "the server has neither data checksums nor wal_log_hints"
        if setting(self._sql, "summarize_wal", self._where) != "on":
            return "the server does not summarize its log (summarize_wal is off)"
        return ""

    def _natively(self, wire: Replication, parent: Parent) -> str:
        if parent.record.details.get("data_checksums") not in (None, self._details["data_checksums"]):
            return "data checksums were switched since the parent"
        manifest = parent.manifest()
        if isinstance(manifest, str):
            return manifest
        try:
            wire.send("UPLOAD_MANIFEST")
            wire.result()
            for begin in range(0, len(manifest), CHUNK):
                wire.write(manifest[begin : begin + CHUNK])
            wire.end_copy()
            wire.drain()
            self._start(wire, ", INCREMENTAL")
        except ServerError as error:
            return f"the server refused: {error.said}"
        return ""

    def _start(self, wire: Replication, more: str) -> None:
        label = self._context.attempt.run.replace("'", "")
        command = (
            f"BASE_BACKUP (LABEL 'aegis {label}', PROGRESS true, CHECKPOINT 'fast', WAL true, TABLESPACE_MAP true,"
            f" MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C'{more}"
        )
        try:
            wire.send(f"{command}{OPTIONS[self._compression]})")
            first = wire.result()
        except ServerError as error:
            if self._compression == "none" or "compression" not in error.said:
                raise
            self._context.find(
                "warning",
                "transfer-not-compressed",
                "the server does not compress what it sends",
                f"{self._where}: {self._compression}: {error.said}",
                "the backup is taken without; name another transfer_compression, or none",
            )
            self._compression = "none"
            wire.drain()
            wire.send(f"{command})")
            first = wire.result()
        second = wire.result()
        if first is None or second is None:
            raise AegisError("server-refused", "the server refused a request", f"{self._where}: no backup began")
        start = table(first)[0]
        self._started = int(start[1] or 0), parse_lsn(start[0] or "")
        spaces = table(second)
        self.expected = sum(int(row[2] or 0) for row in spaces) << 10
        self._details["tablespaces"] = {
            row[0]: {"location": row[1], "bytes": int(row[2] or 0) << 10} for row in spaces if row[0]
        }
        copy = wire.result()
        if copy is None:
            raise AegisError("server-refused", "the server refused a request", f"{self._where}: it sent no data")
        self._take_sample()

    def _take_sample(self) -> None:
        now = self._context.clock.monotonic()
        if now - self._sampled >= SAMPLE_SECONDS or not self._samples:
            self._sampled = now
            self._samples.append(sample(self._sql, self._where))

    def _messages(self) -> Iterator[memoryview]:
        assert self._wire is not None
        while True:
            found = self._wire.read()
            if not isinstance(found, memoryview):
                return
            yield found

    def archives(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """`base`, one archive for each tablespace by its OID, `manifest`, `config` where there is one, and `pages`, the
        hashes of all pages, where an incremental may build on them."""
        stream = self._messages()
        head: memoryview | None = next(stream, None)
        while head is not None:
            kind = bytes(head[:1])
            if kind == b"n":
                name = bytes(head[1:]).split(b"\0", 1)[0].decode()
                self._index = TarIndex()
            elif kind == b"m":
                name = "manifest"
            else:
                head = next(stream, None)
                continue
            following: list[memoryview] = []
            name, chunks = opened(name, self._archive(stream, following), self._where)
            label = "base" if name in ("", "base.tar") else name.removesuffix(".tar")
            yield label, self._seen(label, chunks)
            if label == "base":
                self._sent = {path for path, *_ in self._index.members if not path.startswith(("base/", "pg_wal/"))}
            head = following[0] if following else None
        self._finish_copy()
        missing: list[str] = []

        def missed(path: str, why: str) -> None:
            missing.append(f"{path}: {why}")

        tar = configuration(self._sql, self._where, self._sent, missed)
        if missing:
            self._context.find(
                "warning",
                "configuration-not-read",
                "configuration outside the data directory is not in the backup",
                "; ".join(missing),
                "GRANT pg_monitor, pg_read_server_files and EXECUTE ON FUNCTION pg_read_binary_file(text) to the role",
            )
        if tar is not None:
            self._index = TarIndex()
            self._index.feed(tar)
            yield "config", iter([tar])
        if self._now is not None:
            yield PAGES, self._now.chunks()

    def _seen(self, label: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """What goes into the set of an archive, while its files are noted."""
        if label == "manifest":
            yield from chunks
            return
        for chunk in reduced(chunks, label, self._before, self._now) if self._now is not None else chunks:
            self._index.feed(chunk)
            yield chunk
        if not self._index.ended:
            raise UnavailableError(
                "server-lost", "the connection to the server broke", f"{self._where}: {label} is cut"
            )

    def _archive(self, stream: Iterator[memoryview], following: list[memoryview]) -> Iterator[bytes]:
        parts: list[memoryview] = []
        size = 0
        for message in stream:
            kind = message[0]
            if kind == 0x64:
                body = message[1:]
                parts.append(body)
                size += len(body)
                if size >= CHUNK:
                    yield b"".join(parts)
                    parts, size = [], 0
                    self._take_sample()
            elif kind in (0x6E, 0x6D):
                following.append(message)
                break
        if parts:
            yield b"".join(parts)

    def members(self) -> list[list[Any]]:
        """Path, offset and size of each file of the archive that was read last."""
        return self._index.members

    def _finish_copy(self) -> None:
        assert self._wire is not None
        ended = self._wire.result()
        if ended is None or not ended.ntuples:
            raise UnavailableError("server-lost", "the connection to the server broke", self._where)
        row = table(ended)[0]
        self._ended = int(row[1] or 0), parse_lsn(row[0] or "")
        self._wire.drain()
        self._samples.append(sample(self._sql, self._where))
        if self._ended[0] > 1:
            rows = self._wire.rows(f"TIMELINE_HISTORY {self._ended[0]}")
            self._details["timeline_history"] = rows[0][1] if rows else ""

    def finish(self) -> dict[str, Any]:
        """What the record says. The state is at `end`: the last sample of the server's clock that lies before it."""
        certain = [moment for moment, lsn in self._samples if lsn <= self._ended[1]]
        extra = {"why_full": self.why_full} if self.why_full else {"by": self.by} if self.by else {}
        done = {
            "method": self.method,
            "parent": self.parent,
            "begun": self.begun,
            "begin": f"{self._started[0]}/{format_lsn(self._started[1])}",
            "end": f"{self._ended[0]}/{format_lsn(self._ended[1])}",
            "not_before": max(certain, default=self.begun),
            "not_after": self._samples[-1][0],
            "details": {**self._details, **extra},
        }
        self.close()
        return done
