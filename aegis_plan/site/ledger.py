"""The site's ledger: which attempts were claimed here, how they ended, what they marked and started.

A key is claimed once and for good. Every write is on disk before it returns; nothing is ever taken out.
The environment variable `AEGIS_KILL_WORKER_AT=<n>@<file>` is a hook of the crash tests and nothing else: it kills this
process with SIGKILL right after its n-th write, once: when the file is there already it does nothing.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from aegis_plan.clock import stamp
from aegis_plan.dispatch.contract import Attempt, Mark
from aegis_plan.errors import AegisError, DamageError

FORMAT = 1
OLDEST_READER = 1
FILE = "ledger.sqlite"
_TABLES = """
create table meta (name text primary key, value text not null);
create table claims (
    key text primary key, run text not null, step text not null, verb text not null, number integer not null,
    epoch integer not null, resource text not null, pid integer not null, start text not null,
    begun text not null, until text not null, settled text, outcome text
);
create index unsettled on claims (resource) where settled is null;
create table marks (key text not null, n integer not null, name text not null, data text not null, at text not null,
    primary key (key, n));
create table children (key text not null, pid integer not null, start text not null, pgid integer not null,
    primary key (key, pid, start));
create table epochs (resource text primary key, highest integer not null);
"""


@dataclass(frozen=True)
class Claim:
    """A claimed key. `outcome` is JSON, None while it is unsettled."""

    key: str
    resource: str
    pid: int
    start: str
    begun: datetime
    until: datetime
    """When it was to be told to stop."""
    outcome: str | None


@dataclass(frozen=True)
class Started:
    """A program that an attempt started."""

    key: str
    pid: int
    start: str
    pgid: int


class EpochOldError(AegisError):
    """A newer run has been at this resource."""


class Ledger:
    """One open ledger; safe for several threads, and for several processes on one site."""

    def __init__(self, folder: Path, now: datetime) -> None:
        """Raises DamageError `ledger-unusable`, AegisError `ledger-too-new`."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / FILE
        self._lock = threading.RLock()
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=30.0)
            self.path.chmod(0o600)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
        except sqlite3.Error as error:
            raise self._damaged(error) from None
        self.id = self._prepare(now)

    def _prepare(self, now: datetime) -> str:
        with self._change() as db:
            if not db.execute("select 1 from sqlite_master where name = 'meta'").fetchone():
                for statement in _TABLES.split(";"):
                    db.execute(statement)
                rows = {"format": str(FORMAT), "oldest_reader": str(OLDEST_READER), "id": uuid4().hex}
                db.executemany("insert into meta values (?, ?)", {**rows, "made": stamp(now)}.items())
            meta: dict[str, str] = dict(db.execute("select name, value from meta").fetchall())
        if not meta.get("id") or not meta.get("oldest_reader", "").isdigit():
            raise self._damaged(sqlite3.DatabaseError("it is no ledger"))
        if int(meta["oldest_reader"]) > FORMAT:
            raise AegisError(
                "ledger-too-new",
                "the site's ledger was written by a newer version",
                f"{self.path} has format {meta['format']}, this version reads up to {FORMAT}",
                "use the newer version at this site",
            )
        return meta["id"]

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("begin immediate")
                try:
                    yield self._db
                except BaseException:
                    self._db.execute("rollback")
                    raise
                self._db.execute("commit")
                _die_where_a_test_says()
            except sqlite3.Error as error:
                raise self._damaged(error) from None

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except (sqlite3.Error, ValueError) as error:
                raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> DamageError:
        return DamageError(
            "ledger-unusable",
            "the site's ledger cannot be used",
            f"{self.path}: {error}",
            "see that the disk has room and is writable; never delete the ledger while a run is unsettled",
        )

    def claim(self, attempt: Attempt, pid: int, start: str, now: datetime) -> Claim | None:
        """Claims the key; None when it is now ours, otherwise the claim that was there before.

        Raises EpochOldError `epoch-old` when a higher epoch was seen for the resource."""
        with self._change() as db:
            if (known := self._find(attempt.key)) is not None:
                return known
            self.check_epoch(attempt)
            if attempt.resource and attempt.epoch:
                db.execute(
                    "insert into epochs values (?, ?)"
                    " on conflict do update set highest = max(highest, excluded.highest)",
                    (attempt.resource, attempt.epoch),
                )
            until = now + timedelta(seconds=min(attempt.timeout, 366 * 86400.0))
            db.execute(
                "insert into claims values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, null, null)",
                (attempt.key, attempt.run, attempt.step, attempt.verb, attempt.number, attempt.epoch,
                 attempt.resource, pid, start, stamp(now), stamp(until)),
            )  # fmt: skip
        return None

    def check_epoch(self, attempt: Attempt) -> None:
        """Raises EpochOldError `epoch-old` when a higher epoch was seen for the resource."""
        if not (attempt.resource and attempt.epoch):
            return
        with self._read() as db:
            row = db.execute("select highest from epochs where resource = ?", (attempt.resource,)).fetchone()
        if row and row[0] > attempt.epoch:
            raise EpochOldError(
                "epoch-old",
                "a newer run has been at this resource",
                f"{attempt.resource}: epoch {attempt.epoch} is over, {row[0]} was seen here",
                "this run must not go on; look at the newer one with 'aegis runs'",
            )

    def settle(self, key: str, outcome: str, now: datetime) -> None:
        """Writes down how a claimed attempt ended; the first word stays."""
        with self._change() as db:
            db.execute(
                "update claims set settled = ?, outcome = ? where key = ? and settled is null",
                (stamp(now), outcome, key),
            )

    def mark(self, key: str, number: int, mark: Mark) -> None:
        with self._change() as db:
            row = (key, number, mark.name, json.dumps(mark.data), stamp(mark.at))
            db.execute("insert into marks values (?, ?, ?, ?, ?)", row)

    def marks(self, key: str) -> tuple[Mark, ...]:
        """What an attempt marked, in order."""
        with self._read() as db:
            rows = db.execute("select name, data, at from marks where key = ? order by n", (key,)).fetchall()
            return _marks(rows)

    def marks_of_step(self, run: str, step: str) -> tuple[Mark, ...]:
        """What all attempts of a step marked, in order."""
        with self._read() as db:
            rows = db.execute(
                "select m.name, m.data, m.at from marks m join claims c on c.key = m.key"
                " where c.run = ? and c.step = ? order by c.begun, m.n",
                (run, step),
            ).fetchall()
            return _marks(rows)

    def child(self, started: Started) -> None:
        """Writes down a program that an attempt is about to let run."""
        with self._change() as db:
            row = (started.key, started.pid, started.start, started.pgid)
            db.execute("insert or replace into children values (?, ?, ?, ?)", row)

    def children(self, key: str) -> list[Started]:
        with self._read() as db:
            rows = db.execute("select key, pid, start, pgid from children where key = ?", (key,)).fetchall()
        return [Started(*row) for row in rows]

    def find(self, key: str) -> Claim | None:
        with self._read():
            return self._find(key)

    def _find(self, key: str) -> Claim | None:
        rows = self._select("key = ?", key)
        return rows[0] if rows else None

    def unsettled(self, resource: str) -> list[Claim]:
        """Claims of a resource whose end nobody wrote down, oldest first."""
        with self._read():
            return self._select("settled is null and resource = ?", resource)

    def _select(self, where: str, value: str) -> list[Claim]:
        columns = "key, resource, pid, start, begun, until, outcome"
        rows = self._db.execute(f"select {columns} from claims where {where} order by begun", (value,)).fetchall()
        return [
            Claim(key, resource, pid, start, datetime.fromisoformat(begun), datetime.fromisoformat(until), outcome)
            for key, resource, pid, start, begun, until, outcome in rows
        ]

    def close(self) -> None:
        with self._lock:
            self._db.close()


def _marks(rows: list[tuple[str, str, str]]) -> tuple[Mark, ...]:
    return tuple(Mark(name=name, data=json.loads(data), at=datetime.fromisoformat(at)) for name, data, at in rows)


_writes = 0


def _die_where_a_test_says() -> None:
    global _writes
    hook = os.environ.get("AEGIS_KILL_WORKER_AT")
    if not hook:
        return
    _writes += 1
    number, _, flag = hook.partition("@")
    if _writes == int(number):
        try:
            os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
