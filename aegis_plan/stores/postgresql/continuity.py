"""Whether a server still has the log that was archived of it. It never lets two logs be joined that only look alike.

A disk or a virtual machine that was put back to an earlier state goes on under the same identity and timeline, and
writes another log over positions that the repositories hold already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql.positions import Position, format_lsn, parse

MOST = 4096
"""Bytes of log by which the end of a range is known again."""
_SMALLEST = 1 << 20
"""Bytes of the smallest segment that a server can have."""
DETAIL = "ends_with"


@dataclass(frozen=True, order=True)
class Ending:
    """The last bytes of an archived range."""

    size: int
    sha256: str

    def fits(self, data: bytes) -> bool:
        return hashlib.sha256(data[: self.size]).hexdigest() == self.sha256


def told(end: int, data: bytes) -> dict[str, Any]:
    """For the details of the record of a range that ends at `end` with `data`.

    It stays within a segment: the one before may be gone from the server when the range is gone on from."""
    size = min(MOST, len(data), (end - 1) % _SMALLEST + 1)
    return {DETAIL: {"bytes": size, "sha256": hashlib.sha256(data[len(data) - size :]).hexdigest()}}


def ending(record: LogRecord) -> Ending | None:
    """How the range of a record ends; None where the record does not tell."""
    said = record.details.get(DETAIL)
    return Ending(int(said["bytes"]), str(said["sha256"])) if isinstance(said, dict) else None


def differs(text: str, where: str, check: Callable[[], None], records: Iterable[object], lineage: str, tl: int) -> str:
    """Holds the server against the furthest range that was archived of its timeline, as far as it still has that log;
    says where it has another, or nothing."""
    known = [
        (parse(record.end), how)
        for record in records
        if isinstance(record, LogRecord) and record.lineage == lineage and (how := ending(record)) is not None
    ]
    at, how = max((found for found in known if found[0].timeline == tl), default=(None, None))
    if at is None or how is None:
        return ""
    from aegis_plan.stores.postgresql.replication import Replication, ServerError

    with Replication(text, where, check) as wire:
        data = b""
        try:
            wire.send(f"START_REPLICATION PHYSICAL {format_lsn(at.lsn - how.size)} TIMELINE {at.timeline}")
            wire.result()
            while len(data) < how.size:
                message = wire.read()
                if message is None:
                    wire.leave_copy()
                    return ""
                if isinstance(message, memoryview) and message[0] == 0x77:
                    data += message[25:]
        except ServerError:
            return ""  # it was archived, so that the server did not have to keep it
    return "" if how.fits(data) else f"the server's log before {at} is another than the archived one"


def furthest(records: Iterable[object], lineage: str, timeline: int | None) -> Position | None:
    """The furthest position of a timeline that a server of the lineage must have reached, by what was taken of it."""
    ends = [
        parse(record.end)
        for record in records
        if isinstance(record, LogRecord | SetRecord)
        and record.lineage == lineage
        and not record.details.get("history")
        and parse(record.end).timeline == timeline
    ]
    return max(ends, default=None)


def forked(where: str, why: str) -> AegisError:
    """The server's log is another than the archived one."""
    return AegisError(
        "log-forked",
        "the server's log is not the one that was archived",
        f"{where}: {why}",
        "it was put back to an earlier state: give it a timeline of its own ('aegis explain log-forked' says how), and "
        "`aegis plan` takes a full of it",
    )


def behind(where: str, flushed: int, end: Position) -> AegisError:
    """A primary that has not reached what was taken of it."""
    return forked(where, f"it has written to {format_lsn(flushed)}, and its log is archived to {end}")
