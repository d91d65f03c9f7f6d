"""Backups that are read from a replica: the primary is left alone, and what comes back is what was acknowledged."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.servers.postgresql import Server
from tests.thread.beside import rows_beside
from tests.thread.history import QUERY, TABLE, History
from tests.thread.test_other_servers import standby
from tests.thread.test_versions import sets
from tests.thread.world import World


def until(holds: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < limit, what
        time.sleep(0.05)


def caught_up(made: World, other: Server) -> None:
    goal = made.sql("SELECT pg_current_wal_flush_lsn()::text")[0][0]
    until(lambda: other.sql(f"SELECT pg_last_wal_replay_lsn() >= '{goal}'") == [(True,)], "the replica does not follow")


def test_a_full_an_incremental_and_log_come_from_the_replica(bare: World) -> None:
    made = bare
    made.sql(TABLE)
    history = History(made)
    history.commit(3)
    with standby(made) as other:
        path = made.plans / "aegis.yaml"
        text = path.read_text().replace("    backup:\n", "    backup:\n      from_member: seoul-2\n", 1)
        path.write_text(text.replace("      seoul-2:\n", "      seoul-2:\n        lag: 5s\n", 1))
        caught_up(made, other)
        made.ok("apply", "-y")
        assert other.sql("SELECT count(*) FROM pg_replication_slots") == [(1,)]
        assert made.sql("SELECT count(*) FROM pg_replication_slots") == [(0,)]
        moment = history.commit(2)
        history.commit(2)
        made.sql("CHECKPOINT")  # a replica begins its backup where it last restarted from one
        caught_up(made, other)
        made.ok("backup", "policy-db", "--incremental", "-y")
        later = sets(made)[-1]
        assert later.method in ("incremental", "full")
        assert later.method == "incremental" or "refused" in later.details["why_full"]
        history.commit(1)
        caught_up(made, other)
        made.ok("backup", "policy-db", "--log", "-y")
        assert rows_beside(made, "--to", moment.isoformat(), query=QUERY) == history.at(moment)
        # What the replica has not replayed is promised by nothing that is taken of it.
        other.sql("SELECT pg_wal_replay_pause()")
        until(lambda: other.sql("SELECT pg_get_wal_replay_pause_state()") == [("paused",)], "it is not paused")
        history.commit(2)
        time.sleep(0.5)
        late = history.after[history.numbers[-1]]
        made.ok("backup", "policy-db", "-y")
        newest = sets(made)[-1]
        assert newest.method == "full"
        assert newest.not_after < history.after[history.numbers[-2]]
        refused = made.aegis(
            "restore", "policy-db", "--beside", str(made.folder / "none"), "--to", late.isoformat(), "-y"
        )
        assert "target-after-log" in refused.text
        other.sql("SELECT pg_wal_replay_resume()")
        caught_up(made, other)
        made.ok("backup", "policy-db", "--log", "-y")
        assert rows_beside(made, query=QUERY) == history.rows
