"""One connection in replication mode, read without ever blocking the interpreter.

libpq's own blocking read holds the interpreter's lock while it waits for a slow server, which would freeze uploads,
lease renewal and Ctrl-C; so every wait is a short select, after which `check` may raise.
"""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType

import psycopg
from psycopg import pq

from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.stores.postgresql.connection import CONNECT_SECONDS, prepared, refused

TICK = 0.2
"""Seconds after which a wait looks whether it has to end."""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class ServerError(AegisError):
    """The server answered a replication command with an error."""

    def __init__(self, sqlstate: str, said: str, where: str) -> None:
        super().__init__("server-refused", "the server refused a request", f"{where}: {said} ({sqlstate})")
        self.sqlstate, self.said = sqlstate, said


class Replication:
    """See the module. Not safe to use from several threads at once."""

    def __init__(self, text: str, where: str, check: Callable[[], None]) -> None:
        """Raises as `connection.connect` does, and AegisError `replication-not-allowed`."""
        self._where, self._check = where, check
        self._conn = pq.PGconn.connect_start(prepared(text, replication="true").encode())
        limit = time.monotonic() + CONNECT_SECONDS
        try:
            self._login(limit)
        except BaseException:
            self._conn.finish()
            raise

    def _login(self, limit: float) -> None:
        if self._conn.status == pq.ConnStatus.BAD:
            raise refused(self._said(), self._where)
        while True:
            state = self._conn.connect_poll()
            if state == pq.PollingStatus.OK:
                break
            if state == pq.PollingStatus.FAILED:
                raise refused(self._said(), self._where)
            if time.monotonic() > limit:
                raise refused("timeout", self._where)
            self._select(read=state == pq.PollingStatus.READING, write=state == pq.PollingStatus.WRITING)
        self._conn.nonblocking = 1

    def __enter__(self) -> Replication:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection, also in the middle of a copy."""
        self._conn.finish()

    def _said(self) -> str:
        return self._conn.error_message.decode("utf-8", "replace")

    def _select(self, *, read: bool, write: bool, seconds: float = TICK) -> None:
        self._check()
        socket = [self._conn.socket]
        select.select(socket if read else [], socket if write else [], [], min(seconds, TICK))
        self._check()

    def _consume(self, seconds: float = TICK) -> None:
        self._select(read=True, write=False, seconds=seconds)
        try:
            self._conn.consume_input()
        except psycopg.Error:
            raise self._lost() from None

    def _lost(self) -> UnavailableError:
        return UnavailableError(
            "server-lost", "the connection to the server broke", self._where, "it is tried again on resume"
        )

    def _flush(self) -> None:
        while True:
            try:
                left = self._conn.flush()
            except psycopg.Error:
                raise self._lost() from None
            if left == 0:
                return
            self._select(read=True, write=True)
            self._conn.consume_input()

    def send(self, command: str) -> None:
        self._conn.send_query(command.encode())
        self._flush()

    def result(self) -> pq.abc.PGresult | None:
        """The next result of the command, None after the last. Raises ServerError."""
        while self._conn.is_busy():
            self._consume()
        found = self._conn.get_result()
        if found is not None and found.status == pq.ExecStatus.FATAL_ERROR:
            state = (found.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
            if not state or state.startswith(("08", "57P")):
                raise self._lost()
            said = (found.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode("utf-8", "replace")
            detail = (found.error_field(pq.DiagnosticField.MESSAGE_DETAIL) or b"").decode("utf-8", "replace")
            raise ServerError(state, f"{said}: {detail}" if detail else said, self._where)
        return found

    def rows(self, command: str) -> list[Sequence[str | None]]:
        """Runs a command to its end and gives the rows of its first result."""
        self.send(command)
        rows: list[Sequence[str | None]] = []
        while (found := self.result()) is not None:
            rows = rows or table(found)
        return rows

    def drain(self) -> None:
        """Reads the rest of the command's results."""
        while self.result() is not None:
            pass

    def read(self, seconds: float | None = None) -> memoryview | bool | None:
        """The next message of a copy; None when it ended; False when nothing came within `seconds`."""
        limit = None if seconds is None else time.monotonic() + seconds
        while True:
            size, data = self._conn.get_copy_data(1)
            if size > 0:
                return data
            if size == -1:
                return None
            if limit is not None and time.monotonic() >= limit:
                return False
            self._consume(TICK if limit is None else max(0.0, limit - time.monotonic()))

    def write(self, data: bytes) -> None:
        while self._conn.put_copy_data(data) == 0:
            self._flush()
        self._flush()

    def leave_copy(self) -> None:
        """After the server ended a copy in both directions: ends ours too. Raises ServerError when it failed."""
        found = self.result()
        if found is not None and found.status == pq.ExecStatus.COPY_IN:
            self.end_copy()
        self.drain()

    def end_copy(self) -> None:
        self._conn.put_copy_end()
        self._flush()

    def confirm(self, flushed: int, received: int) -> None:
        """Tells the server that the repositories hold the log up to `flushed`; its slot follows."""
        clock = int((datetime.now(UTC) - _EPOCH) / timedelta(microseconds=1))
        self.write(b"r" + struct.pack(">QQQQB", received, flushed, flushed, clock, 0))


def table(found: pq.abc.PGresult) -> list[Sequence[str | None]]:
    """The rows of a result as text."""

    def cell(row: int, column: int) -> str | None:
        value = found.get_value(row, column)
        return None if value is None else value.decode("utf-8", "replace")

    return [[cell(row, column) for column in range(found.nfields)] for row in range(found.ntuples)]
