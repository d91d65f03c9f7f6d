"""Someone who keeps changing policies, and notes every commit that the server acknowledged outside the server."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

POLICIES = 20_000
PAUSE = 0.02
"""Seconds between two changes."""


def policy_of(number: int) -> int:
    """Which policy the change of this number is about."""
    return number * 7919 % POLICIES + 1


def rule_of(number: int) -> str:
    """What the change of this number makes the policy say; a change can always be told from its number alone."""
    return "allow if " + hashlib.sha256(f"change {number}".encode()).hexdigest()


def create(connection: str) -> None:
    """Makes the tables and fills them."""
    with psycopg.connect(connection) as session:
        session.execute(
            "CREATE TABLE policy (id int PRIMARY KEY, version int NOT NULL, rule text NOT NULL);"
            "CREATE TABLE change (number bigint PRIMARY KEY, policy int NOT NULL REFERENCES policy, "
            "at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        session.execute(
            f"INSERT INTO policy SELECT n, 0, 'allow if ' || md5(n::text) FROM generate_series(1, {POLICIES}) n"
        )


class Writer:
    """Changes policies in a thread of its own until told to stop or until the server is gone."""

    def __init__(self, connection: str, notes: Path) -> None:
        self._connection = connection
        self._notes = notes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self.acknowledged = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for(self, count: int, limit: float = 30.0) -> None:
        """Returns when that many more changes were acknowledged, or after `limit` seconds."""
        wanted, end = self.acknowledged + count, time.monotonic() + limit
        while self.acknowledged < wanted and time.monotonic() < end and self._thread.is_alive():
            time.sleep(0.05)

    def _run(self) -> None:
        try:
            with psycopg.connect(self._connection, autocommit=True) as session, self._notes.open("a") as notes:
                while not self._stop.is_set():
                    number = self.acknowledged + 1
                    with session.transaction():
                        session.execute(
                            "UPDATE policy SET version = version + 1, rule = %s WHERE id = %s",
                            (rule_of(number), policy_of(number)),
                        )
                        session.execute(
                            "INSERT INTO change (number, policy) VALUES (%s, %s)", (number, policy_of(number))
                        )
                    note = {"number": number, "at": datetime.now(UTC).isoformat()}
                    notes.write(json.dumps(note) + "\n")
                    notes.flush()
                    self.acknowledged = number
                    self._stop.wait(PAUSE)
        except psycopg.OperationalError:
            return  # the server is gone; that is what this demo is about


@dataclass(frozen=True)
class Comparison:
    """The restored rows against the notes."""

    policies: int
    changes: int
    acknowledged: int
    wrong: int
    """Rows that differ from what the changes up to the last restored one make of them."""
    unnoted: int
    """Restored changes that were never acknowledged; the one in flight when the server died may be."""
    last: datetime | None
    """When the last restored change was acknowledged."""
    final: datetime | None
    """When the last change of all was acknowledged."""

    @property
    def lost(self) -> int:
        return max(0, self.acknowledged - self.changes)

    @property
    def equal(self) -> bool:
        return self.wrong == 0 and self.unnoted <= 1

    @property
    def lost_seconds(self) -> float:
        """Between the last change that came back and the last one acknowledged."""
        if not self.lost or self.last is None or self.final is None:
            return 0.0
        return (self.final - self.last).total_seconds()


def compare(connection: str, notes: Path) -> Comparison:
    """Reads every row back and holds it against the notes."""
    noted = {}
    for line in notes.read_text().splitlines():
        note = json.loads(line)
        noted[note["number"]] = datetime.fromisoformat(note["at"])
    with psycopg.connect(connection) as session:
        changes = session.execute("SELECT number, policy FROM change ORDER BY number").fetchall()
        policies = session.execute("SELECT id, version, rule FROM policy").fetchall()
    wrong = sum(1 for place, row in enumerate(changes, 1) if row != (place, policy_of(place)))
    expected = {n: (0, "allow if " + hashlib.md5(str(n).encode()).hexdigest()) for n in range(1, POLICIES + 1)}
    for number in range(1, len(changes) + 1):
        policy = policy_of(number)
        expected[policy] = (expected[policy][0] + 1, rule_of(number))
    found = {row[0]: (row[1], row[2]) for row in policies}
    wrong += sum(1 for policy in expected.keys() | found.keys() if expected.get(policy) != found.get(policy))
    return Comparison(
        policies=len(policies),
        changes=len(changes),
        acknowledged=len(noted),
        wrong=wrong,
        unnoted=max(0, len(changes) - len(noted)),
        last=noted.get(min(len(changes), len(noted))),
        final=noted.get(len(noted)),
    )
