"""What a site read of the catalogs before, in one SQLite file of its folder, so that a look reads only what is new.

It is a memory of bytes and never of verdicts: whoever takes bytes from it verifies them anew. Without it, or with
garbage in it, everything is read from the repositories.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from aegis_plan.repositories.contract import Listed

FILE = "catalog.sqlite"
_LARGEST = 2 << 30
"""Bytes of the file above which it is begun anew: catalogs of stores and repositories that are no more stay in it."""
_PATIENCE = 2.0
"""Seconds to wait for another process; a look does not wait longer for what only saves it time."""
_STALE = 24 * 3600.0
_AGAIN = 16
"""Copies that are read again in one look though nothing seems to have changed, those first that were not read for the
longest time and for a day at least: a disk that lets bytes rot does not say so in a listing."""
_TABLES = """
create table if not exists copy (repository text, root text, key text, size integer, tag text, hash blob, at real,
    primary key (repository, root, key)) without rowid;
create table if not exists body (hash blob primary key, data blob);
"""


@dataclass
class Changes:
    """What one look found to be other than remembered, of one repository."""

    read: list[tuple[Listed, bytes]] = field(default_factory=list)
    """Read anew, verified, with the line of the listing that it was read for."""
    gone: list[str] = field(default_factory=list)
    """Not listed any more, or not what is remembered."""


class RecordCache:
    """The cache in one folder; it is used by any number of processes at a time. Nothing in it ever raises."""

    def __init__(self, folder: Path) -> None:
        """The folder is never made: where it is missing or may not be written to, nothing is remembered."""
        self._folder, self._path = folder, folder / FILE

    def known(self, repository: str, root: str) -> dict[str, tuple[Listed, bytes]]:
        """By key: the line of the listing that was read for, and the bytes that were read. A few of the oldest are left
        out, so that they are read again."""
        query = (
            "select key, size, tag, data, at from copy join body on copy.hash = body.hash"
            " where repository = ? and root = ?"
        )
        try:
            with self._opened("ro") as database:
                rows = database.execute(query, (repository, root)).fetchall()
        except (sqlite3.Error, OSError):
            return {}
        limit = time.time() - _STALE
        old = sorted((row[4], row[0]) for row in rows if isinstance(row[4], float) and row[4] < limit)
        again = {key for _, key in old[:_AGAIN]}
        return {
            key: (Listed(key, size, tag), data)
            for key, size, tag, data, _ in rows
            if isinstance(data, bytes) and key not in again
        }

    def keep(self, root: str, changes: Mapping[str, Changes]) -> None:
        """Remembers, by repository, what was read, and forgets what is gone."""
        if not any(found.read or found.gone for found in changes.values()) or not self._folder.is_dir():
            return
        with contextlib.suppress(sqlite3.Error, OSError):
            if self._path.exists() and self._path.stat().st_size > _LARGEST:
                self._path.unlink()
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            try:
                self._write(root, changes)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                    raise  # in use, read-only, no room
                self._anew(root, changes)
            except sqlite3.DatabaseError:
                self._anew(root, changes)

    def _anew(self, root: str, changes: Mapping[str, Changes]) -> None:
        """Garbage, or the form of another version: who still reads it reads the file that no longer has a name."""
        self._path.unlink(missing_ok=True)
        self._path.with_name(f"{FILE}-journal").unlink(missing_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._write(root, changes)

    def _write(self, root: str, changes: Mapping[str, Changes]) -> None:
        with self._opened("rw") as database:
            # It may be lost with the machine's power: then it is read again.
            database.execute("pragma synchronous = off")
            database.execute("begin immediate")
            for statement in _TABLES.split(";")[:-1]:
                database.execute(statement)
            for repository, found in changes.items():
                self._change(database, repository, root, found.read, found.gone)
            if any(found.gone for found in changes.values()):
                database.execute("delete from body where hash not in (select hash from copy)")
            database.execute("commit")

    @staticmethod
    def _change(
        database: sqlite3.Connection,
        repository: str,
        root: str,
        read: Sequence[tuple[Listed, bytes]],
        gone: Sequence[str],
    ) -> None:
        now = time.time()
        marked = [(listed, hashlib.sha256(data).digest(), data) for listed, data in read if listed.tag]
        # A body that was altered here would stay behind its right hash for ever, were it not replaced.
        database.executemany("insert or replace into body values (?, ?)", [(mark, data) for _, mark, data in marked])
        database.executemany(
            "insert or replace into copy values (?, ?, ?, ?, ?, ?, ?)",
            [(repository, root, listed.key, listed.size, listed.tag, mark, now) for listed, mark, _ in marked],
        )
        database.executemany(
            "delete from copy where repository = ? and root = ? and key = ?", [(repository, root, key) for key in gone]
        )

    @contextmanager
    def _opened(self, mode: str) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(
            f"file:{quote(str(self._path.absolute()))}?mode={mode}", uri=True, isolation_level=None, timeout=_PATIENCE
        )
        database.text_factory = _text
        try:
            yield database
        finally:
            database.close()


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
