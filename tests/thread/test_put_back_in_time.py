"""A server whose disk was put back to an earlier state goes on under the same identity and timeline. What it writes is
never joined to what was archived of it before, and nothing says that it is protected by that."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.thread.beside import rows_beside
from tests.thread.history import protected_again
from tests.thread.world import World, world


def snapshot(made: World) -> Path:
    made.server.stop()
    kept = made.server.data.parent / "snapshot"
    subprocess.run(["cp", "-a", str(made.server.data), str(kept)], check=True)
    made.server.start()
    return kept


def put_back(made: World, kept: Path) -> None:
    made.server.stop()
    shutil.rmtree(made.server.data)
    kept.rename(made.server.data)
    made.server.start()


@pytest.fixture
def behind() -> Iterator[World]:
    """A server that was put back behind the end of its archived log."""
    with world() as made:
        made.ok("apply", "-y")
        made.ok("backup", "policy-db", "--log", "-y")
        kept = snapshot(made)
        made.insert(300, "before it was put back")
        made.ok("backup", "policy-db", "--log", "-y")
        put_back(made, kept)
        yield made


def grow(made: World) -> None:
    """Writes until the server is past where its log was archived to."""
    made.insert(3000, "since it was put back")
    made.insert(10, "at last")


def own_timeline(made: World) -> None:
    """What the hint says: a restart as a standby, and a promotion."""
    made.server.stop()
    signal = made.server.data / "standby.signal"
    signal.touch()
    if made.server.user:
        shutil.chown(signal, made.server.user)
    made.server.start()
    made.server.promote()


def test_a_server_behind_its_archive_is_said_so_by_every_command(behind: World) -> None:
    for words in (("--log",), ("--full",)):
        refused = behind.aegis("backup", "policy-db", *words, "-y")
        assert refused.code == 1, refused.text
        assert "log-forked" in refused.text, refused.text
    limit = time.monotonic() + 60
    while (plan := behind.aegis("plan")).code == 0 and time.monotonic() < limit:
        time.sleep(0.5)
    assert plan.code == 1, plan.text
    assert "log-forked" in plan.text
    assert "all that the server has written is archived" not in behind.aegis("status").text


def test_log_of_the_time_since_is_not_joined_to_the_archive(behind: World) -> None:
    old = rows_beside(behind)
    assert ("before it was put back 300") in {body for _, body in old}
    grow(behind)
    refused = behind.aegis("backup", "policy-db", "--log", "-y")
    assert refused.code == 1, refused.text
    assert "log-forked" in refused.text, refused.text
    assert rows_beside(behind) == old


@pytest.mark.parametrize("past", [False, True])
def test_a_timeline_of_its_own_protects_it_again(behind: World, past: bool) -> None:
    if past:
        grow(behind)
    own_timeline(behind)
    behind.insert(20, "on its own timeline")
    behind.ok("apply", "-y")
    behind.insert(20, "and on")
    behind.ok("backup", "policy-db", "--log", "-y")
    rows = behind.rows()
    assert rows_beside(behind) == rows
    protected_again(behind)
    behind.destroy()
    behind.ok("apply", "-y", "--scenario", "database-failure")
    assert behind.rows() == rows
    protected_again(behind)


def test_an_incremental_is_not_built_on_a_set_of_the_other_branch() -> None:
    with world() as made:
        made.ok("apply", "-y")
        made.sql("CREATE TABLE wide AS SELECT g AS id, repeat('a', 500) AS body FROM generate_series(1, 4000) g")
        kept = snapshot(made)
        made.sql("UPDATE wide SET body = repeat('b', 500)")
        made.ok("backup", "policy-db", "--full", "-y")
        made.ok("backup", "policy-db", "--log", "-y")
        archived = made.sql("SELECT pg_current_wal_flush_lsn()")[0][0]
        put_back(made, kept)
        while made.sql("SELECT pg_current_wal_flush_lsn() < %s::pg_lsn", archived)[0][0]:
            made.insert(5000, "since it was put back")
        ran = made.ok("backup", "policy-db", "--incremental", "-y")
        assert "another than the archived one" in ran.text, ran.text
        query = "SELECT id, body FROM wide ORDER BY id"
        assert rows_beside(made, query=query) == made.sql(query)
