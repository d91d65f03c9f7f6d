"""Tablespaces in folders with names of every kind come back with their rows."""

from __future__ import annotations

import shutil

from tests.thread.beside import rows_beside
from tests.thread.world import world

NAMES = {
    "far": "x" * 150,
    "odd": 'with "quotes", ü, a\nnew line and a\\backslash',
    "last": "it ends with a backslash\\",
}


def test_folders_with_long_and_odd_names() -> None:
    with world() as made:
        for name, folder in NAMES.items():
            place = made.server.folder / folder
            place.mkdir()
            if made.server.user:
                shutil.chown(place, made.server.user)
            with made.server.connect() as connection:
                connection.execute(f"CREATE TABLESPACE {name} LOCATION '{place}'".encode())
                connection.execute(
                    f"CREATE TABLE in_{name} TABLESPACE {name} AS SELECT g FROM generate_series(1, 500) g".encode()
                )
        made.ok("apply", "-y")
        made.sql("DELETE FROM in_far WHERE g > 300")
        made.ok("backup", "policy-db", "--incremental", "-y")
        query = "SELECT (SELECT count(*) FROM in_far), (SELECT count(*) FROM in_odd), (SELECT count(*) FROM in_last)"
        assert rows_beside(made, query=query) == [(300, 500, 500)]
        made.destroy()
        for folder in NAMES.values():
            shutil.rmtree(made.server.folder / folder)
        made.ok("apply", "-y", "--scenario", "database-failure")
        assert made.sql(query) == [(300, 500, 500)]
