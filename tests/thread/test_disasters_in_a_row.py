"""After a recovery the store is protected again: shown by the next disaster, and the one after that."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time

import pytest

from tests.thread.history import protected_again
from tests.thread.world import World


def test_a_second_and_a_third_disaster(protected: World) -> None:
    world = protected
    world.insert(20, "before the first")
    world.ok("backup", "policy-db", "--log", "-y")
    for number in ("first", "second", "third"):
        rows = world.rows()
        world.destroy()
        ran = world.ok("apply", "-y", "--scenario", "database-failure")
        assert world.rows() == rows
        assert "RTA" in ran.text
        assert "RPA unknown" not in " ".join(ran.text.split())
        protected_again(world)
        world.insert(20, f"after the {number}")
        if number == "first":
            # Nothing but what the recovery itself archived protects these rows' timeline, until the log job runs.
            asked = world.ok("backup", "policy-db", "--incremental", "-y")
            assert "incremental" in asked.text
        else:
            world.ok("backup", "policy-db", "--log", "-y")


def test_at_once_after_a_recovery(protected: World) -> None:
    """No job ran since: the full of the recovery itself is what comes back, and what it lost is told."""
    world = protected
    rows = world.rows()
    for _ in range(2):
        world.destroy()
        ran = world.ok("apply", "-y", "--scenario", "database-failure")
        assert world.rows() == rows
        assert "RPA unknown" not in " ".join(ran.text.split())
    protected_again(world)


@pytest.mark.parametrize("left", ["within a segment", "at the end of a segment"])
def test_lost_again_when_hardly_more_than_the_history_was_archived(protected: World, left: str) -> None:
    """The recovery dies before its own full: the newest set is of the timeline that was left."""
    world = protected
    world.environment["AEGIS_LEASE_SECONDS"] = "6"
    world.insert(20, "second")
    if left == "at the end of a segment":
        world.sql("SELECT pg_switch_wal()")
    world.ok("backup", "policy-db", "--log", "-y")
    rows = world.rows()
    world.destroy()
    running = world.start("apply", "-y", "--scenario", "database-failure")
    history = world.repository("seoul")
    limit = time.monotonic() + 120
    # The history of the new timeline is the first thing of it that is archived.
    while not any(history.rglob("log/00000002/history*")):
        assert running.poll() is None, running.stdout.read() if running.stdout else ""
        assert time.monotonic() < limit, "no history of the new timeline was archived"
        time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait(30)
    if running.stdout:
        running.stdout.close()
    time.sleep(1)
    assert world.rows() == rows
    plan = world.aegis("plan", "--detailed-exitcode")
    assert plan.code in (2, 3), plan.text
    status = world.aegis("status")
    assert "  protected" not in status.text, status.text
    # Lost again, with little more than the history archived of the new timeline.
    world.destroy()
    world.ok("apply", "-y", "--scenario", "database-failure", "--lock-timeout", "60s")
    assert world.rows() == rows
    protected_again(world)


def test_an_incremental_over_a_change_of_timelines_becomes_a_full(protected: World) -> None:
    world = protected
    # Promoted by hand: the server goes on on a timeline of which nothing is archived.
    world.server.stop()
    (world.server.data / "standby.signal").touch()
    if world.server.user:
        shutil.chown(world.server.data / "standby.signal", world.server.user)
    world.server.start()
    world.server.promote()
    world.insert(20, "on the second timeline")
    ran = world.ok("backup", "policy-db", "--incremental", "-y")
    assert "timeline" in ran.text, ran.text
    assert "full" in ran.text
    records = [json.loads(path.read_text())["record"] for path in world.repository("seoul").rglob("records/*.json")]
    newest = max((record for record in records if record["kind"] == "set"), key=lambda record: record["id"])
    assert newest["method"] == "full"
    assert newest["begin"].startswith("2/")
    rows = world.rows()
    world.destroy()
    world.ok("apply", "-y", "--scenario", "database-failure")
    assert world.rows() == rows
    protected_again(world)
