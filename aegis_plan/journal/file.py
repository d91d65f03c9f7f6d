"""The journal's file: JSON lines, chained by hash, on the disk before anybody goes on. It never changes a line that it
wrote, and it never decides what a line means.

Two environment variables are hooks of the crash tests and nothing else: `AEGIS_KILL_AT=<number>` kills this process
with SIGKILL right after that entry is on the disk, `AEGIS_KILL_BEFORE=<number>` right before it is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from aegis_plan.clock import Clock, stamp
from aegis_plan.errors import AegisError, LockedError
from aegis_plan.journal.entry import FORMAT, OLDEST_READER, Entry, Kind, damaged
from aegis_plan.journal.mirror import Mirror
from aegis_plan.repositories.collecting import uncollected

NAME = "journal.jsonl"
LOCK = "journal.lock"
FIRST = "0" * 64
"""What stands in `previous` of the first entry."""
_ENTRIES = TypeAdapter(list[Entry])


@dataclass(frozen=True)
class Draft:
    """An entry before it has a number and a time."""

    kind: Kind
    step: str = ""
    data: dict[str, Any] = field(default_factory=dict)


class Journal:
    """The one writer of a run's journal; while it lives no other process can write it. Safe to call from threads."""

    def __init__(self, folder: Path, clock: Clock, mirror: Mirror | None) -> None:
        self.folder = folder
        self._clock, self._mirror = clock, mirror
        self._guard = threading.Lock()
        self._lock = _locked(folder)
        self._file: IO[bytes] | None = None
        self._count, self._digest = 0, FIRST
        self._kill_at = int(os.environ.get("AEGIS_KILL_AT", "0"))
        self._kill_before = int(os.environ.get("AEGIS_KILL_BEFORE", "0"))

    @classmethod
    def create(cls, folder: Path, clock: Clock, mirror: Mirror | None = None) -> Journal:
        """Begins the journal of a new run in its folder, which is made.

        Raises LockedError `run-active`, AegisError `run-exists` when there is a journal already."""
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise _unwritable(folder, os.strerror(error.errno or 0)) from None
        journal = cls(folder, clock, mirror)
        try:
            journal._file = open(folder / NAME, "xb", buffering=0, opener=_private)  # noqa: SIM115 - lives as long as the journal
        except FileExistsError:
            journal.close()
            raise AegisError(
                "run-exists", "this run has a journal already", str(folder), "resume it, or apply under a new run"
            ) from None
        except OSError as error:
            journal.close()
            raise _unwritable(folder, os.strerror(error.errno or 0)) from None
        _sync(folder)
        if mirror is not None:
            mirror.start(())
        return journal

    @classmethod
    def open(cls, folder: Path, clock: Clock, mirror: Mirror | None = None) -> tuple[Journal, list[Entry]]:
        """Goes on with an existing journal; a last line that was cut in mid-write is taken off.

        Raises LockedError `run-active`, AegisError `run-unknown`, DamageError `journal-damaged`."""
        if not (folder / NAME).exists():
            raise _unknown(folder)
        journal = cls(folder, clock, mirror)
        try:
            lines, torn = _lines(folder)
            entries = _checked(lines)
            # Opened for appending: whatever happens, no byte before the end can change.
            journal._file = (folder / NAME).open("ab", buffering=0)
            if torn:
                journal._file.truncate(sum(len(line) + 1 for line in lines))
                os.fsync(journal._file.fileno())
        except BaseException:
            journal.close()
            raise
        journal._count = len(lines)
        journal._digest = _digest(lines[-1]) if lines else FIRST
        if mirror is not None:
            mirror.start([(number, line) for number, line in enumerate(lines, 1)])
        return journal, entries

    def append(self, drafts: Sequence[Draft]) -> list[Entry]:
        """Writes the entries in one go; when it returns they are on the disk. Raises AegisError `journal-unwritable`,
        after which nothing may be sent."""
        if not drafts:
            return []
        with self._guard:
            if self._file is None:
                raise _unwritable(self.folder, "it is closed")
            entries, lines, digest = [], [], self._digest
            now = self._clock.now()
            for number, draft in enumerate(drafts, self._count + 1):
                entry = Entry(number=number, at=now, kind=draft.kind, step=draft.step, data=draft.data, previous=digest)
                line = encode(entry)
                digest = _digest(line)
                entries.append(entry)
                lines.append(line)
            self._kill_before_write(lines)
            before = os.fstat(self._file.fileno()).st_size
            try:
                self._write(b"".join(line + b"\n" for line in lines))
            except OSError as error:
                self._take_back(before)
                raise _unwritable(self.folder, os.strerror(error.errno or 0)) from None
            self._count += len(lines)
            self._digest = digest
            if self._count == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        if self._mirror is not None:
            self._mirror.offer([(entry.number, line) for entry, line in zip(entries, lines)])
        return entries

    def mirrored(self, number: int, timeout: float = 0.0) -> bool:
        """Whether entry `number` and all before it are in one mirror; waits up to `timeout` seconds. A journal
        without mirrors says yes."""
        return self._mirror is None or self._mirror.wait(number, timeout)

    @property
    def mirror_trouble(self) -> AegisError | None:
        """Why the mirrors lag, where they do."""
        return None if self._mirror is None else self._mirror.trouble

    def close(self, flush: float = 0.0) -> None:
        """Lets go of the run, after waiting up to `flush` seconds for the mirrors. Harmless when repeated."""
        if self._mirror is not None:
            self._mirror.close(flush)
        with self._guard:
            if self._file is not None:
                self._file.close()
                self._file = None
        self._lock.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        os.fsync(self._file.fileno())

    def _take_back(self, size: int) -> None:
        """After a write that failed half-way: what came to the disk of it must not stand before a later entry. Where it
        cannot be removed the journal takes nothing more; the next life cuts it off."""
        assert self._file is not None
        try:
            self._file.truncate(size)
            self._file.seek(size)
            os.fsync(self._file.fileno())
        except OSError:
            self._file.close()
            self._file = None

    def _kill_before_write(self, lines: list[bytes]) -> None:
        """The test hooks inside a batch: what stands before the entry is written, then this process dies."""
        for wanted, whole in ((self._kill_at, 0), (self._kill_before, 1)):
            place = wanted - self._count - whole
            if wanted and 1 - whole <= place < len(lines):
                self._write(b"".join(line + b"\n" for line in lines[:place]))
                os.kill(os.getpid(), signal.SIGKILL)


def encode(entry: Entry) -> bytes:
    """The line of an entry, without its end."""
    form = {
        "at": stamp(entry.at),
        "data": entry.data,
        "kind": entry.kind,
        "number": entry.number,
        "previous": entry.previous,
        "step": entry.step,
    }
    return json.dumps(form, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def read(folder: Path) -> list[Entry]:
    """The entries of a journal, whoever writes it now; changes nothing.

    Raises AegisError `run-unknown`, DamageError `journal-damaged`."""
    return _checked(_lines(folder)[0])


def active(folder: Path) -> str | None:
    """Process and host of the executor that works on this run now, or None."""
    try:
        with (folder / LOCK).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().decode(errors="replace").strip() or "another process"
    except FileNotFoundError:
        pass
    return None


def _lines(folder: Path) -> tuple[list[bytes], bool]:
    try:
        data = (folder / NAME).read_bytes()
    except FileNotFoundError:
        raise _unknown(folder) from None
    except OSError as error:
        raise _unwritable(folder, os.strerror(error.errno or 0)) from None
    lines = data.split(b"\n")
    return lines[:-1], lines[-1] != b""


def _checked(lines: list[bytes]) -> list[Entry]:
    digest = FIRST
    with uncollected():
        entries = _parsed(lines)
        for number, (entry, line) in enumerate(zip(entries, lines, strict=True), 1):
            if entry.number != number:
                raise damaged(number, f"it says that it is entry {entry.number}")
            if entry.previous != digest:
                raise damaged(number, "it does not follow the entry before it; one of the two was changed")
            digest = _digest(line)
    oldest = entries[0].data.get("oldest_reader", OLDEST_READER) if entries else OLDEST_READER
    if not isinstance(oldest, int):
        raise damaged(1, "its format is no number")
    if oldest > FORMAT:
        raise AegisError(
            "journal-too-new",
            "the journal was written by a newer version",
            f"it needs a reader of format {oldest}, this one reads up to {FORMAT}",
            "use the version of aegis that began the run",
        )
    return entries


def _parsed(lines: list[bytes]) -> list[Entry]:
    """All in one go, which takes half the time; one by one when that fails, to name the line that is wrong."""
    with contextlib.suppress(ValidationError):
        entries = _ENTRIES.validate_json(b"[%s]" % b",".join(lines))
        if len(entries) == len(lines):
            return entries
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entries.append(Entry.model_validate_json(line))
        except ValidationError:
            raise damaged(number, "it is not an entry") from None
    return entries


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _locked(folder: Path) -> IO[bytes]:
    try:
        file = open(folder / LOCK, "a+b", opener=_private)  # noqa: SIM115 - the lock lives as long as the file is open
    except OSError as error:
        raise _unwritable(folder, os.strerror(error.errno or 0)) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().decode(errors="replace").strip() or "another process"
        file.close()
        raise LockedError(
            "run-active",
            "another process works on this run",
            f"{folder.name}: {holder}",
            "let it end, cancel it with `aegis cancel`, or send it an approval or an answer",
        ) from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    file.flush()
    return file


def _unknown(folder: Path) -> AegisError:
    return AegisError(
        "run-unknown", "there is no such run", f"no journal in {folder}", "`aegis runs` lists the runs of this site"
    )


def _unwritable(folder: Path, said: str) -> AegisError:
    return AegisError(
        "journal-unwritable",
        "the journal cannot be written or read",
        f"{folder.name}: {said}",
        "make room or restore the right to it, then `aegis resume`; nothing is sent without its journal",
    )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
