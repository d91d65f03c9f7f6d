"""An old server that went on to a timeline of which nothing was archived before it died: nothing that it acknowledged
is lost, whether it left the archive's way at its end, before it, or several times; and where it cannot be taken up the
plan says so."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers.postgresql import Server
from tests.thread.damage import flat
from tests.thread.history import protected_again
from tests.thread.world import World

NOTHING_LOST = "nothing that was acknowledged was lost"


def promote(server: Server) -> None:
    """As a person does it by hand: the same data goes on as a new timeline."""
    server.stop()
    signal = server.data / "standby.signal"
    signal.touch()
    if server.user:
        shutil.chown(signal, server.user)
    server.start()
    server.promote()


def copied(server: Server) -> None:
    """Keeps a copy of the data as it is now."""
    server.stop()
    subprocess.run(["cp", "-a", str(server.data), str(server.folder / "kept")], check=True)
    server.start()


def taken_back(server: Server) -> None:
    """Puts the copy in the place of the data."""
    server.stop()
    shutil.rmtree(server.data)
    (server.folder / "kept").rename(server.data)


def timeline(made: World) -> int:
    made.sql("CHECKPOINT")
    ((found,),) = made.sql("SELECT timeline_id FROM pg_control_checkpoint()")
    assert isinstance(found, int)
    return found


def recovered(made: World, *said: str) -> str:
    plan = made.aegis("plan", "--scenario", "database-failure", "--out", "younger.plan")
    assert plan.code == 0, plan.text
    for words in said:
        assert words in flat(plan), plan.text
    ran = made.ok("apply", "-y", "younger.plan")
    return flat(ran)


def test_promoted_by_hand_and_killed(protected: World) -> None:
    made = protected
    made.ok("backup", "policy-db", "--log", "-y")
    made.insert(20, "unarchived, old timeline")
    promote(made.server)
    made.insert(30, "unarchived, new timeline")
    rows = made.rows()
    made.server.kill()
    said = recovered(made, "follows timeline 2", "nothing is lost that came before")
    assert made.rows() == rows
    assert NOTHING_LOST in said
    assert timeline(made) == 3
    protected_again(made)
    # What was archived of it is a way of the archive like any other.
    made.destroy()
    made.ok("apply", "-y", "--scenario", "database-failure")
    assert made.rows() == rows


def test_killed_before_the_first_checkpoint_of_the_new_timeline(protected: World) -> None:
    """The control file names the old timeline then, and only its recovery's end the new one."""
    made = protected
    made.sql("ALTER SYSTEM SET checkpoint_completion_target = 0.9")
    made.insert(5000, "dirty pages, so that the checkpoint takes its time")
    promote(made.server)
    made.insert(30, "new timeline")
    rows = made.rows()
    made.server.kill()
    recovered(made, "follows timeline 2")
    assert made.rows() == rows


def test_promoted_twice_over_several_segments(protected: World) -> None:
    made = protected
    for number in range(2):
        made.insert(20, f"before {number}")
        made.sql("SELECT pg_switch_wal()")
        made.insert(20, f"in the next segment {number}")
        promote(made.server)
        made.insert(20, f"after {number}")
        made.sql("SELECT pg_switch_wal()")
        made.insert(20, f"and later {number}")
    rows = made.rows()
    made.server.kill()
    said = recovered(made, "follows timeline 3")
    assert made.rows() == rows
    assert NOTHING_LOST in said
    protected_again(made)


def test_a_running_server_is_stopped_for_it(protected: World) -> None:
    made = protected
    promote(made.server)
    made.insert(30, "new timeline")
    rows = made.rows()
    ran = made.ok("restore", "policy-db", "--to", "latest", "-y")
    assert made.rows() == rows
    assert "stage-tail" in ran.text
    protected_again(made)


@pytest.fixture
def gone_back(protected: World) -> tuple[World, list[tuple[object, ...]]]:
    """A server that somebody took back by hand to before the archive's end, and which went on from there."""
    made, server = protected, protected.server
    copied(server)
    made.insert(40, "archived, and left behind by hand")
    made.ok("backup", "policy-db", "--log", "-y")
    taken_back(server)
    promote(server)
    made.insert(30, "what people work with now")
    return made, made.rows()


def test_gone_back_by_hand_before_the_end_of_the_archive(gone_back: tuple[World, list[tuple[object, ...]]]) -> None:
    made, rows = gone_back
    made.server.kill()
    recovered(made, "timeline-left-behind", "follows timeline 2")
    assert made.rows() == rows
    protected_again(made)


def test_another_timeline_of_the_same_number(protected: World) -> None:
    """The archive knows a timeline 2, and the old directory is on another one: refused with a way on."""
    made, server = protected, protected.server
    copied(server)
    made.insert(10, "first way")
    made.ok("restore", "policy-db", "--to", "latest", "-y")
    rows = made.rows()
    taken_back(server)
    promote(server)
    made.insert(30, "another second timeline")
    server.kill()
    plan = made.aegis("plan", "--scenario", "database-failure")
    assert plan.code == 1, plan.text
    assert "tail-of-other-history" in plan.text
    position = flat(plan).split("with --to ")[1].split()[0]
    made.ok("apply", "-y", "--scenario", "database-failure", "--to", position)
    assert made.rows() == rows


def test_its_first_log_is_gone(protected: World) -> None:
    """What cannot be taken up is said before anything is done."""
    made, server = protected, protected.server
    made.insert(10, "old timeline, unarchived")
    made.sql("SELECT pg_switch_wal()")
    made.insert(10, "old timeline, next segment")
    promote(server)
    made.insert(30, "new timeline")
    server.kill()
    _oldest(server).unlink()
    plan = made.aegis("plan", "--scenario", "database-failure")
    assert "tail-not-contiguous" in plan.text
    assert "nothing is lost" not in flat(plan)


def _oldest(server: Server) -> Path:
    return min(path for path in (server.data / "pg_wal").iterdir() if len(path.name) == 24)
