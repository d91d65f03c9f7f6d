"""Rows with the moment at which each was committed, as the server's own clock tells it, and the restores that are held
against them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.servers.postgresql import Server
from tests.thread.world import World

Row = tuple[Any, ...]
TABLE = "CREATE TABLE numbered (number int PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp())"
QUERY = "SELECT number FROM numbered ORDER BY number"
APART = 0.03
"""Seconds between commits, so that a moment between two of them is between them for every clock."""


@dataclass
class History:
    """One branch of what was committed to the table `numbered`."""

    world: World
    numbers: list[int] = field(default_factory=list)
    after: dict[int, datetime] = field(default_factory=dict)
    """Number to the server's clock once it was committed."""

    def commit(self, count: int = 1) -> datetime:
        """Commits rows, each in a transaction of its own; gives a moment after the last and before whatever comes."""
        with self.world.server.connect() as connection:
            for _ in range(count):
                number = (self.numbers[-1] if self.numbers else 0) + 1
                connection.execute("INSERT INTO numbered VALUES (%s)", (number,))
                row = connection.execute("SELECT clock_timestamp()").fetchone()
                assert row is not None
                self.numbers.append(number)
                self.after[number] = row[0].astimezone(UTC)
                time.sleep(APART)
        return self.after[self.numbers[-1]] + timedelta(milliseconds=1)

    def at(self, moment: datetime) -> list[Row]:
        """The rows that were committed by then."""
        return [(number,) for number in self.numbers if self.after[number] <= moment]

    @property
    def rows(self) -> list[Row]:
        return [(number,) for number in self.numbers]

    def branch(self, moment: datetime) -> History:
        """What goes on from a moment of this one."""
        kept = [number for (number,) in self.at(moment)]
        return History(self.world, kept, {number: self.after[number] for number in kept})

    def now(self) -> list[Row]:
        """The rows of the running server."""
        return self.world.sql(QUERY)


def protected_again(world: World) -> None:
    """Holds that nothing is left to do, and that status says so too."""
    nothing = world.aegis("plan", "--detailed-exitcode")
    assert nothing.code == 0, nothing.text
    status = world.ok("status")
    assert "unprotected" not in status.text, status.text


def archived(server: Server, count: int = 3) -> None:
    """Moves the server on by whole segments of log."""
    for number in range(count):
        server.sql("SELECT pg_logical_emit_message(true, 'fill', repeat('x', 1000))")
        server.sql("SELECT pg_switch_wal()")
        server.sql(f"SELECT {number}")
