"""A major upgrade: the new history is protected at once, and what was before can still be brought back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.postgresql import PASSWORD, Server, binaries
from tests.thread.beside import rows_beside
from tests.thread.history import QUERY, TABLE, History
from tests.thread.world import World, world


def upgraded(made: World, folder: Path) -> Server:
    """A server of version 18 in the place of the old one, with its rows."""
    dump = made.server.folder / "dump.sql"
    made.server.run("pg_dump", "-d", f"{made.server.dsn()} password={PASSWORD}", "-f", str(dump))
    made.server.stop()
    folder.mkdir()
    new = Server(folder, binaries(18), made.server.user, port=made.server.port)
    new.create()
    new.start()
    with new.connect() as connection:
        connection.execute("DROP SCHEMA public CASCADE")
    new.run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", f"{new.dsn()} password={PASSWORD}", "-c",
            "CREATE SCHEMA public", "-f", str(dump))  # fmt: skip
    return new


@pytest.mark.sweep(only=True)
def test_from_15_to_18() -> None:
    with world(major=15) as made:
        made.sql(TABLE)
        history = History(made)
        history.commit(2)
        made.ok("apply", "-y")
        moment = history.commit(2)
        history.commit(1)
        made.ok("backup", "policy-db", "--log", "-y")
        old, folder = made.server, made.folder.parent / "new"
        new = upgraded(made, folder)
        try:
            path = made.plans / "aegis.yaml"
            text = path.read_text().replace(str(old.data), str(new.data))
            path.write_text(text.replace(str(old.binaries), str(new.binaries)))
            made.server = new
            told = made.ok("apply", "-y")
            assert "new-history" in told.text
            assert "PostgreSQL 18, and what was backed up is of PostgreSQL 15" in " ".join(told.text.split())
            assert "old-binaries-missing" in told.text
            beside = str(made.folder.parent / "old")
            refused = made.aegis("restore", "policy-db", "--to", moment.isoformat(), "--beside", beside, "-y")
            assert refused.code == 1
            assert "binaries-differ" in refused.text
            known = f'binaries: "{new.binaries}", other_binaries: {{"15": "{old.binaries}"}}'
            path.write_text(path.read_text().replace(f'binaries: "{new.binaries}"', known))
            before = rows_beside(made, "--to", moment.isoformat(), query=QUERY, binaries=old.binaries)
            assert before == history.at(moment)
        finally:
            new.end()
