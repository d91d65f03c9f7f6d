"""Positions in a PostgreSQL log, `<timeline>/<LSN>` such as `1/0/5000028`, and the names of segments. Pure text and
numbers."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from aegis_plan.errors import AegisError

SEGMENT = 16 * 2**20
"""Bytes of a segment where the server says nothing else."""

_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_POSITION = re.compile(r"([0-9]{1,10})/([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


class Position(NamedTuple):
    """A timeline and a byte position on it. Compares by timeline first; only on one timeline is that an order in
    time."""

    timeline: int
    lsn: int

    def __str__(self) -> str:
        return f"{self.timeline}/{format_lsn(self.lsn)}"


def parse_lsn(text: str) -> int:
    """`0/5000028` as a number. Raises AegisError `position-invalid`."""
    match = _LSN.fullmatch(text.strip())
    if not match:
        raise _invalid(text)
    return int(match.group(1), 16) << 32 | int(match.group(2), 16)


def format_lsn(lsn: int) -> str:
    """As PostgreSQL prints it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


@lru_cache(maxsize=1 << 15)
def parse(text: str) -> Position:
    """`1/0/5000028` as a position. Raises AegisError `position-invalid`."""
    match = _POSITION.fullmatch(text.strip())
    if not match:
        raise _invalid(text)
    timeline, high, low = match.groups()
    return Position(int(timeline), int(high, 16) << 32 | int(low, 16))


def segment_floor(lsn: int, size: int = SEGMENT) -> int:
    """Where the segment that holds `lsn` begins."""
    return lsn - lsn % size


def segment_name(timeline: int, lsn: int, size: int = SEGMENT) -> str:
    """The name of the segment file that holds `lsn`: 24 hexadecimal digits."""
    number, per_file = lsn // size, 2**32 // size
    return f"{timeline:08X}{number // per_file:08X}{number % per_file:08X}"


def _invalid(text: str) -> AegisError:
    return AegisError(
        "position-invalid",
        "not a position in a log",
        f"'{text[:60]}' is neither an LSN such as 0/5000028 nor a timeline and an LSN such as 1/0/5000028",
        "write it as the server prints it",
    )
