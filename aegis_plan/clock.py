"""Time and identifiers, passed in wherever they are needed; nothing below `cli` and `site` makes its own."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is, and how long something took."""

    def now(self) -> datetime:
        """The present in UTC, aware."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never jump backwards."""

    def sleep(self, seconds: float) -> None:
        """Waits."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def stamp(moment: datetime) -> str:
    """`2026-11-23T22:21:00.123456Z`: the only form in which durable data carries a time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def new_id(moment: datetime) -> str:
    """An identifier that sorts by its UTC time and is unique: `20261123T222100Z-1f9c2a`."""
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
