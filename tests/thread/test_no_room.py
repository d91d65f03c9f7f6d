"""A disk without room for the restored data: refused where it shows, and nothing is left behind where it fills late."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import unavailable
from tests.thread.damage import Protected, flat
from tests.thread.damage import protected as made_protected

MIB = 2**20


@pytest.fixture(scope="module")
def it() -> Iterator[Protected]:
    """The server's folder is a small file system of its own."""
    if os.geteuid() != 0:
        unavailable("a file system in memory is mounted by root only")
    with made_protected() as made:
        server = made.world.server
        server.stop()
        aside = server.folder.with_name("moved")
        server.folder.rename(aside)
        server.folder.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=600m,mode=0755", "tmpfs", str(server.folder)],
            capture_output=True, check=False,
        )  # fmt: skip
        if mounted.returncode:
            server.folder.rmdir()
            aside.rename(server.folder)
            unavailable("this system lets nobody mount a file system in memory")
        try:
            subprocess.run(["cp", "-a", f"{aside}/.", str(server.folder)], check=True)
            server.start()
            yield made
        finally:
            server.end()
            subprocess.run(["umount", "-l", str(server.folder)], check=False)
            shutil.rmtree(aside)


def fill(folder: Path, leave: int) -> Path:
    """Takes all room but `leave` bytes."""
    room = os.statvfs(folder)
    path = folder / "filler"
    size = room.f_bavail * room.f_frsize - leave
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    return path


def needed(plan: Path) -> int:
    """Bytes that a plan wants to be free."""
    steps = json.loads(plan.read_text())["plan"]["steps"]
    return int(next(step["params"]["need_bytes"] for step in steps if step["params"].get("need_bytes")))


def test_no_room_when_planned(it: Protected) -> None:
    filler = fill(it.world.server.folder, 40 * MIB)
    try:
        said = flat(it.refused("--to", it.middle))
        assert "no-room" in said
        assert "are needed" in said
        assert "are free" in said
        assert "--beside" in said
    finally:
        filler.unlink()


def test_no_room_any_more_when_applied(it: Protected) -> None:
    it.world.ok("plan", "--scenario", "database-failure", "--to", it.middle, "--out", "a.plan")
    filler = fill(it.world.server.folder, 40 * MIB)
    try:
        with it.untouched():
            stale = it.world.aegis("apply", "-y", "a.plan")
        assert stale.code == 4, stale.text
        assert "free-bytes" in stale.text
    finally:
        filler.unlink()


def test_a_disk_that_fills_while_staging(it: Protected) -> None:
    """Somebody else takes the room once staging began: what was staged is gone again, and the server runs."""
    folder = it.world.server.folder
    before, over = sorted(folder.iterdir()), threading.Event()

    def thief() -> None:
        while not over.wait(0.002):
            if set(folder.iterdir()) - set(before):
                with (folder / "filler").open("wb", buffering=0) as file:
                    while not over.is_set():
                        try:
                            file.write(bytes(MIB))
                        except OSError:
                            time.sleep(0.002)
                return

    watching = threading.Thread(target=thief)
    watching.start()
    rows, pid = it.world.rows(), it.world.server.pid
    try:
        ran = it.world.aegis("restore", "policy-db", "--to", it.middle, "-y")
    finally:
        over.set()
        watching.join()
        (folder / "filler").unlink(missing_ok=True)
    assert ran.code == 1, ran.text
    # The thief may win while data is fetched, or only when the server that replays it starts.
    assert "[no-space]" in ran.text or "[disk-full]" in ran.text, ran.text
    assert "Traceback" not in ran.text
    assert "action-crashed" not in ran.text
    assert (it.world.rows(), it.world.server.pid) == (rows, pid)
    assert sorted(folder.iterdir()) == before


def test_room_for_the_data_once_is_enough(it: Protected) -> None:
    """What was staged while the server ran is not asked for a second time once it was stopped."""
    it.world.ok("plan", "--scenario", "database-failure", "--out", "b.plan")
    filler = fill(it.world.server.folder, needed(it.world.folder / "b.plan") + 8 * MIB)
    rows = it.world.rows()
    try:
        it.world.ok("apply", "-y", "--scenario", "database-failure")
    finally:
        filler.unlink()
    assert it.world.rows() == rows
