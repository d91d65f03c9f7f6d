"""A restore in place on a disk that cannot hold the old data and the restored: the old data goes first, but only when
that was asked for and approved, and only when all that is needed was proved."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers import unavailable
from tests.servers.postgresql import Server
from tests.thread.damage import flat
from tests.thread.test_no_room import MIB, fill
from tests.thread.world import Ran, World, world

CLEAR = "policy-db.clear"
LEFT = 170 * MIB
"""Free beside the old data: less than the data alone takes."""


@contextmanager
def mounted(folder: Path, megabytes: int) -> Iterator[None]:
    """A file system in memory at a folder."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder)],
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        unavailable("this system lets nobody mount a file system in memory")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


@contextmanager
def moved_onto(server: Server, folder: Path) -> Iterator[None]:
    """A folder of the server becomes a small file system of its own, with what was in it."""
    server.stop()
    aside = folder.with_name("moved")
    folder.rename(aside)
    folder.mkdir()
    with mounted(folder, 600):
        subprocess.run(["cp", "-a", f"{aside}/.", str(folder)], check=True)
        subprocess.run(["rm", "-rf", str(aside)], check=True)
        server.start()
        try:
            yield
        finally:
            server.end()


def bulk(made: World) -> None:
    """Data that is larger than what will be free."""
    made.sql("CREATE TABLE bulk AS SELECT g AS id, repeat(md5(g::text), 30) AS body FROM generate_series(1, 120000) g")
    made.sql("VACUUM (FREEZE, ANALYZE) bulk")  # later it would write as much log
    made.sql("ALTER SYSTEM SET max_wal_size = '64MB'")
    made.sql("SELECT pg_reload_conf()")
    made.sql("CHECKPOINT")


@contextmanager
def crowded(small: Callable[[Server], Path], extra: str = "") -> Iterator[World]:
    """A protected store on a small disk; `small` names the folder that is one."""
    if os.geteuid() != 0:
        unavailable("a file system in memory is mounted by root only")
    with world() as made, moved_onto(made.server, small(made.server)):
        if extra:
            change(made, extra)
        bulk(made)
        made.ok("apply", "-y")
        made.insert(50, "second")
        made.ok("backup", "policy-db", "--log", "-y")
        made.insert(25, "not archived")
        yield made


def change(made: World, line: str) -> None:
    """Adds a line to the store's documents."""
    path = made.plans / "aegis.yaml"
    text = path.read_text()
    assert text.count("    backup:\n") == 1
    path.write_text(text.replace("    backup:\n", f"    {line}\n    backup:\n"))


def everything(made: World) -> list[tuple[Any, ...]]:
    return made.rows() + made.sql("SELECT count(*), sum(hashtextextended(body, id)) FROM bulk")


@pytest.fixture
def it() -> Iterator[World]:
    with crowded(lambda server: server.folder) as made:
        fill(made.server.folder, LEFT)
        yield made


def begun(made: World, *words: str, env: dict[str, str] | None = None) -> tuple[subprocess.Popen[str], Path]:
    """Starts a recovery and waits until it is a run."""
    before = set(made.runs())
    process = made.start("apply", "-y", "--scenario", "database-failure", *words, env=env)
    wait(lambda: bool(set(made.runs()) - before) or process.poll() is not None)
    new = set(made.runs()) - before
    assert new, process.communicate()[0]
    (run,) = new
    return process, run


def wait(until: Callable[[], bool], seconds: float = 120.0) -> None:
    limit = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < limit, "it never came to that"
        time.sleep(0.05)


def settled(made: World, run: Path) -> set[str]:
    try:
        return {entry["step"] for entry in made.journal(run) if entry["kind"] == "settled"}
    except (FileNotFoundError, json.JSONDecodeError):
        return set()


def decisions(made: World, run: Path) -> set[str]:
    return {entry["data"]["decision"] for entry in made.journal(run) if entry["kind"] == "decided"}


def approved(made: World, *words: str, env: dict[str, str] | None = None) -> tuple[Ran, Path]:
    """A recovery whose removal is approved by command while it is at work."""
    process, run = begun(made, *words, env=env)
    made.ok("approve", CLEAR, "--run", run.name)
    out, _ = process.communicate(timeout=300)
    assert "Traceback" not in out
    assert "action-crashed" not in out
    return Ran(process.returncode, out, ""), run


def beside(made: World) -> list[str]:
    """What lies beside the data, but for what was always there."""
    known = {"data", "s", "server.log", "filler", "pw"}
    return sorted(path.name for path in made.server.folder.iterdir() if path.name not in known)


def test_refused_until_it_is_allowed_and_the_way_is_named(it: World) -> None:
    rows, pid = everything(it), it.server.pid
    ran = it.aegis("apply", "-y", "--scenario", "database-failure")
    assert ran.code == 1, ran.text
    said = flat(ran)
    assert "error[no-room]" in said
    assert "--give-up-old-data" in said
    assert "keep_old_data" in said
    assert (everything(it), it.server.pid) == (rows, pid)


def test_without_an_approval_it_stands_and_with_one_the_rows_are_there(it: World) -> None:
    rows = everything(it)
    shown = flat(it.ok("plan", "--scenario", "database-failure", "--give-up-old-data"))
    assert "from here on, the old data of policy-db is gone: nothing can be put back" in shown
    assert re.search(rf"from {CLEAR} \(\d+\) on the old data of policy-db is gone", shown), shown
    process, run = begun(it, "--give-up-old-data")
    wait(lambda: "policy-db.prove-tail" in settled(it, run))
    time.sleep(1.0)
    assert CLEAR not in settled(it, run)
    assert (it.server.data / "global" / "pg_control").exists(), "-y alone removed the old data"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 6, out
    assert f"aegis resume {run.name}" in out
    it.ok("approve", CLEAR, "--run", run.name)
    ran = it.ok("resume", run.name, timeout=400)
    assert everything(it) == rows
    assert "nothing that was acknowledged was lost" in flat(ran)
    assert beside(it) == []
    approvals = [entry for entry in it.journal(run) if entry["kind"] == "approved" and entry["step"] == CLEAR]
    assert len(approvals) == 1


def test_passing_over_the_removal_leads_back_to_the_old_server(it: World) -> None:
    rows = everything(it)
    process, run = begun(it, "--give-up-old-data")
    wait(lambda: "policy-db.prove-tail" in settled(it, run))
    it.ok("skip", CLEAR, "we changed our mind", "--run", run.name)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 1, out
    assert "no-space" in out
    assert everything(it) == rows
    assert beside(it) == []


def test_damage_in_every_copy_shows_while_the_old_server_serves(it: World) -> None:
    rows, pid = everything(it), it.server.pid
    for name in ("seoul", "busan"):
        (lineage,) = (it.repository(name) / "v1/aegis/stores/policy-db").iterdir()
        (path,) = [path for path in lineage.rglob("base.*") if path.is_file() and path.stat().st_size > MIB]
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x10
        path.unlink()
        path.write_bytes(bytes(data))
    ran, run = approved(it, "--give-up-old-data")
    assert ran.code == 1, ran.text
    assert "policy-db.prove" in flat(ran)
    assert (everything(it), it.server.pid) == (rows, pid)
    assert "policy-db.stop" not in {entry["step"] for entry in it.journal(run) if entry["kind"] == "sent"}
    assert beside(it) == []


def worker_of(made: World) -> list[int]:
    """The site's workers below this world."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"work" in words and any(str(made.folder).encode() in word for word in words):
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("moment", ["removal", "staging"])
def test_killed_it_goes_on_to_the_same_rows(it: World, moment: str) -> None:
    rows = everything(it)
    many = it.server.data / "many"
    many.mkdir()
    for number in range(20_000):
        (many / str(number)).touch()
    process, run = begun(it, "--give-up-old-data")
    it.ok("approve", CLEAR, "--run", run.name)
    old = it.server.folder / f"data.aegis-old-{run.name}"
    staged = it.server.folder / "data.aegis-new"
    watched = old if moment == "removal" else staged / "base"
    limit = time.monotonic() + 120
    while not watched.exists():
        assert time.monotonic() < limit
        assert process.poll() is None, process.communicate()[0]
    os.killpg(process.pid, signal.SIGKILL)
    for pid in worker_of(it):
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not it.server.data.exists(), "the kill came too late to show anything"
    assert old.exists() == (moment == "removal"), "the kill came at another moment"
    it.ok("resume", run.name, timeout=400)
    assert everything(it) == rows
    assert beside(it) == []


def test_what_fails_behind_the_removal_waits_for_a_resume(it: World) -> None:
    """Somebody takes the port: the restored data is in its place and starts once the port is free."""
    import socket

    rows = everything(it)
    process, run = begun(it, "--give-up-old-data")
    wait(lambda: "policy-db.prove-tail" in settled(it, run))
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", it.server.port))
        taken.listen()
        it.ok("approve", CLEAR, "--run", run.name)
        out, _ = process.communicate(timeout=300)
    assert process.returncode == 6, out
    assert "Traceback" not in out
    assert "server-start-failed" in out
    assert "cannot be put back" in " ".join(out.split())
    assert f"aegis resume {run.name}" in out
    assert not {
        entry["step"] for entry in it.journal(run) if entry["kind"] == "sent" and entry["data"]["verb"] == "undo"
    }
    it.ok("resume", run.name, timeout=400)
    assert everything(it) == rows


@pytest.mark.parametrize("fails", [False, True])
def test_old_data_that_goes_to_another_disk(tmp_path: Path, fails: bool) -> None:
    import socket

    with crowded(lambda server: server.folder) as made:
        elsewhere = made.folder.parent / "elsewhere"
        elsewhere.mkdir()
        change(made, f"keep_old_data: {elsewhere}")
        fill(made.server.folder, LEFT)
        rows = everything(made)
        before = made.server.data.stat()
        if not fails:
            made.ok("apply", "-y", "--scenario", "database-failure", timeout=400)
            assert everything(made) == rows
            (kept,) = elsewhere.iterdir()
            assert (kept / "PG_VERSION").exists()
            assert (kept / "global" / "pg_control").stat().st_uid == before.st_uid
            assert beside(made) == []
            return
        process, run = begun(made)
        wait(lambda: "policy-db.stop" in settled(made, run))
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", made.server.port))
            taken.listen()
            wait(lambda: "roll-back" in decisions(made, run))
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 1, out
        assert "server-start-failed" in out
        assert everything(made) == rows
        assert made.server.data.stat().st_uid == before.st_uid
        assert list(elsewhere.iterdir()) == []
        assert beside(made) == []


def test_a_kept_place_on_the_same_disk_is_refused_before_anything_is_touched() -> None:
    with crowded(lambda server: server.folder) as made:
        change(made, f"keep_old_data: {made.server.folder}")
        fill(made.server.folder, LEFT)
        rows, pid = everything(made), made.server.pid
        ran = made.aegis("apply", "-y", "--scenario", "database-failure")
        assert ran.code == 1, ran.text
        assert "old-data-place" in ran.text
        assert (everything(made), made.server.pid) == (rows, pid)


def test_a_data_directory_that_is_a_mount_point_keeps_its_folder() -> None:
    with crowded(lambda server: server.data) as made:
        aside = made.server.data / "lost+found"
        aside.mkdir()
        fill(aside, LEFT)
        rows, device = everything(made), made.server.data.stat().st_dev
        ran, _ = approved(made, "--give-up-old-data")
        assert ran.code == 0, ran.text
        assert everything(made) == rows
        assert made.server.data.stat().st_dev == device
        assert not [path for path in made.server.data.iterdir() if ".aegis-" in path.name]
