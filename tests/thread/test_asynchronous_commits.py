"""Commits that are acknowledged before they are flushed: what was acknowledged before a moment that the archive covers
is there."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime, timedelta

from tests.thread.beside import rows_beside
from tests.thread.world import World, world


class Writer(threading.Thread):
    """Commits rows until it is told to stop, most of them without waiting for the disk."""

    def __init__(self, made: World) -> None:
        super().__init__()
        self.made = made
        self.over = threading.Event()
        self.acknowledged: list[tuple[str, datetime]] = []

    def run(self) -> None:
        with self.made.server.connect() as connection:
            number = 0
            while not self.over.wait(0.02):
                number += 1
                connection.execute(f"SET synchronous_commit = {'off' if number % 20 else 'on'}")
                connection.execute("INSERT INTO policies (body) VALUES (%s)", (f"row {number}",))
                row = connection.execute("SELECT clock_timestamp()").fetchone()
                assert row is not None
                self.acknowledged.append((f"row {number}", row[0].astimezone(UTC)))


def test_rows_acknowledged_before_the_end_of_the_archive_are_there() -> None:
    with world() as made:
        made.sql("ALTER SYSTEM SET wal_writer_delay = '10s'")
        made.sql("SELECT pg_reload_conf()")
        made.ok("apply", "-y")
        made.ok("backup", "policy-db", "--log", "-y")
        # A role that may only read is enough for backups.
        made.sql("CREATE ROLE reader LOGIN REPLICATION PASSWORD 'reader-pw' IN ROLE pg_monitor, pg_read_all_settings")
        made.sql("ALTER ROLE reader SET default_transaction_read_only = on")
        made.environment["POLICY_DB"] = (
            f"host=127.0.0.1 port={made.server.port} user=reader dbname=postgres password=reader-pw"
        )
        writer = Writer(made)
        writer.start()
        try:
            while len(writer.acknowledged) < 25:
                writer.over.wait(0.01)
            made.ok("backup", "policy-db", "--log", "-y")
        finally:
            writer.over.set()
            writer.join()
        del made.environment["POLICY_DB"]
        refused = made.aegis("plan", "--store", "policy-db", "--to", "2099-01-01T00:00:00Z")
        end = datetime.fromisoformat(re.findall(r"to (\d{4}-\d\d-\d\dT[\d:.]+Z)", refused.text)[-1])
        # It is told in milliseconds: up to one before it every row counts.
        moment = end - timedelta(milliseconds=1)
        there = {body for _, body in rows_beside(made, "--to", moment.isoformat())}
        wanted = {body for body, acknowledged in writer.acknowledged if acknowledged <= moment}
        assert wanted, "the archive did not move on while rows were committed"
        assert wanted <= there, sorted(wanted - there)
