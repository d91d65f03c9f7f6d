"""A tablespace that was made behind the newest backup set: a replay would empty its folder, the running server's."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.thread.beside import rows_beside
from tests.thread.history import protected_again
from tests.thread.world import World, world

QUERY = "SELECT count(*), sum(g) FROM placed"


def tablespace(made: World) -> Path:
    place = made.server.folder / "another disk"
    place.mkdir()
    if made.server.user:
        shutil.chown(place, made.server.user)
    made.sql(f"CREATE TABLESPACE another LOCATION '{place}'")
    made.sql("CREATE TABLE placed TABLESPACE another AS SELECT g FROM generate_series(1, 1000) g")
    return place


def test_a_restore_beside_leaves_the_running_servers_tablespace_alone() -> None:
    with world() as made:
        made.ok("apply", "-y")
        place = tablespace(made)
        made.ok("backup", "policy-db", "--log", "-y")
        made.sql("INSERT INTO placed SELECT g FROM generate_series(1001, 2000) g")
        made.sql("CHECKPOINT")
        rows = made.sql(QUERY)
        made.server.stop()
        made.server.start()
        files = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
        beside = made.folder.parent / "beside"
        refused = made.aegis("restore", "policy-db", "--beside", str(beside), "-y")
        assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == files
        made.server.kill()
        made.server.start()
        assert made.sql(QUERY) == rows
        assert refused.code == 1, refused.text
        assert "tablespace-occupied" in refused.text, refused.text
        # The way on that the hint names.
        made.ok("backup", "policy-db", "--full", "-y")
        assert rows_beside(made, query=QUERY) == rows
        assert made.sql(QUERY) == rows


def test_a_lost_servers_tablespace_is_moved_away_first() -> None:
    with world() as made:
        made.ok("apply", "-y")
        place = tablespace(made)
        made.ok("backup", "policy-db", "--log", "-y")
        rows = made.sql(QUERY)
        made.destroy()
        refused = made.aegis("apply", "-y", "--scenario", "database-failure")
        assert refused.code == 1, refused.text
        assert "tablespace-occupied" in refused.text, refused.text
        place.rename(place.with_name("moved away"))
        made.ok("apply", "-y", "--scenario", "database-failure")
        assert made.sql(QUERY) == rows
        protected_again(made)
