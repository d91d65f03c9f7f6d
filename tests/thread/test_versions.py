"""The same promises for servers that give no incrementals of their own, by their version or by how they are set up:
what changed is found by the hashes of their pages."""

from __future__ import annotations

import json

import pytest

from aegis_plan.catalog.record import SetRecord
from tests.thread.beside import rows_beside
from tests.thread.history import QUERY, TABLE, History, protected_again
from tests.thread.world import World, world


def sets(made: World) -> list[SetRecord]:
    """What the catalog says of the sets, oldest first."""
    found = sorted(made.repository("seoul").rglob("records/*.json"))
    records = [json.loads(path.read_text()) for path in found]
    return sorted(
        (SetRecord.model_validate(one) for one in (known.get("record", known) for known in records) if "method" in one),
        key=lambda one: one.begun,
    )


@pytest.mark.parametrize(("major", "off"), [(15, False), (16, False), (18, True)])
def test_the_thread(major: int, off: bool) -> None:
    with world(major=major) as made:
        if off:
            made.sql("ALTER SYSTEM SET summarize_wal = off")
            made.sql("SELECT pg_reload_conf()")
        made.sql(TABLE)
        made.sql("CREATE TABLE filler AS SELECT g AS id, repeat('x', 200) AS body FROM generate_series(1, 40000) g")
        made.sql("VACUUM FREEZE filler")  # or the first who reads it changes every page
        history = History(made)
        history.commit(3)
        assert "incremental-by-pages" in made.ok("apply", "-y").text
        moment = history.commit(2)
        history.commit(2)
        made.ok("backup", "policy-db", "--log", "-y")
        made.ok("backup", "policy-db", "--incremental", "-y")
        first = history.commit(1)
        made.sql("UPDATE filler SET body = 'y' WHERE id % 9000 = 0")
        made.sql("CREATE TABLE later AS SELECT 1 AS id")
        made.ok("backup", "policy-db", "--incremental", "-y")
        full, *more = sets(made)
        assert [one.method for one in more] == ["incremental", "incremental"]
        assert [one.parent for one in more] == [full.set, more[0].set]
        assert all(one.details["by"].startswith("pages") for one in more)
        assert sum(o.plain_size for o in more[1].objects) < sum(o.plain_size for o in full.objects) / 2
        history.commit(1)
        made.ok("backup", "policy-db", "--log", "-y")
        for when in (moment, first)[: 2 if major == 15 else 1]:
            assert rows_beside(made, "--to", when.isoformat(), query=QUERY) == history.at(when)
        filler = made.sql("SELECT count(*), md5(string_agg(f::text, ',' ORDER BY id)) FROM filler f")
        made.destroy()
        made.ok("apply", "-y", "--scenario", "database-failure")
        assert history.now() == history.rows
        assert made.sql("SELECT count(*), md5(string_agg(f::text, ',' ORDER BY id)) FROM filler f") == filler
        assert made.sql("SELECT id FROM later") == [(1,)]
        if major != 15:
            return
        read = made.ok("verify", "policy-db", "--data", "100%", "-y")
        assert "damage" not in read.text
        protected_again(made)
        history.commit(3)
        made.server.kill()
        ran = made.ok("apply", "-y", "--scenario", "database-failure")
        assert history.now() == history.rows
        assert "nothing that was acknowledged was lost" in " ".join(ran.text.split())
        protected_again(made)
