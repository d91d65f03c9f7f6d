"""Data that lies on a disk of its own: a data directory that is a mount point or a link to one, a log folder and a
tablespace on other disks. It comes back there, it can be put back, and a kill in the swap loses none of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.servers import unavailable
from tests.servers.postgresql import Server, free_port
from tests.thread.beside import rows_beside
from tests.thread.damage import flat
from tests.thread.history import protected_again
from tests.thread.world import World, world

KINDS = ("a disk of its own", "a folder bound there", "a link to a disk")


@contextmanager
def mounted(kind: str, at: Path, behind: Path) -> Iterator[None]:
    """A disk at a folder, or a link there to one; `behind` is an empty place for the rest."""
    if os.geteuid() != 0:
        unavailable("only root can mount")
    at.mkdir(exist_ok=True)
    point = at
    if kind == "a folder bound there":
        behind.mkdir()
        command = ["mount", "--bind", str(behind), str(at)]
    else:
        if kind == "a link to a disk":
            at.rmdir()
            at.symlink_to(behind)
            behind.mkdir()
            point = behind
        command = ["mount", "-t", "tmpfs", "-o", "size=1g,mode=755", "aegis-test", str(point)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        unavailable(f"this host lets nobody mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(point)], check=False)


def own(server: Server, *folders: Path) -> None:
    for folder in folders:
        folder.mkdir(exist_ok=True)
        if server.user:
            shutil.chown(folder, server.user, server.user)


@contextmanager
def moved(kind: str) -> Iterator[World]:
    """A protected world whose data lies on a disk."""
    with world() as made:
        server = made.server
        server.stop()
        kept = server.folder / "kept"
        server.data.rename(kept)
        with mounted(kind, server.data, server.folder.parent / "disk"):
            subprocess.run(["cp", "-a", f"{kept}/.", str(server.data)], check=True)
            shutil.rmtree(kept)
            server.start()
            made.ok("apply", "-y")
            try:
                yield made
            finally:
                server.end()


@pytest.fixture(params=["a disk of its own"])
def disk(request: pytest.FixtureRequest) -> Iterator[World]:
    with moved(request.param) as made:
        yield made


def point(made: World) -> tuple[str, list[tuple[object, ...]]]:
    """A moment of the log with its rows; more rows lie behind it."""
    made.insert(50, "second")
    rows = made.rows()
    ((moment,),) = made.sql("SELECT clock_timestamp()")
    assert isinstance(moment, datetime)
    made.insert(25, "third")
    made.ok("backup", "policy-db", "--log", "-y")
    return moment.astimezone(UTC).isoformat(), rows


def left(made: World) -> list[str]:
    """What a restore left within the data directory and beside it."""
    return sorted(
        entry.name for entry in (*made.server.data.iterdir(), *made.server.folder.iterdir()) if ".aegis" in entry.name
    )


@pytest.mark.parametrize("disk", KINDS, indirect=True)
def test_restores_in_place_one_after_another(disk: World) -> None:
    """Also the set that is taken after a restore holds no old data, and restores again."""
    moment, rows = point(disk)
    device = os.stat(disk.server.data).st_dev
    disk.ok("restore", "policy-db", "--to", moment, "-y")
    assert disk.rows() == rows
    assert os.stat(disk.server.data).st_dev == device, "the data came to another disk"
    protected_again(disk)
    assert rows_beside(disk) == rows
    disk.insert(10, "fourth")
    rows = disk.rows()
    disk.server.kill()
    ran = disk.ok("apply", "-y", "--scenario", "database-failure")
    assert "nothing that was acknowledged was lost" in flat(ran)
    assert disk.rows() == rows
    protected_again(disk)
    sizes = [one["size"] for one in _sets(disk)]
    assert max(sizes) < 2 * min(sizes), f"old data is in a set: {sizes}"


def _sets(made: World) -> list[dict[str, int]]:
    import json

    found = []
    for path in sorted(made.repository("seoul").glob("v1/aegis/stores/policy-db/*/records/*.json")):
        record = json.loads(path.read_text())["record"]
        if record["kind"] == "set":
            found.append({"size": sum(part["plain_size"] for part in record["objects"])})
    return found


def test_an_empty_disk_in_the_place_of_the_lost_one(disk: World) -> None:
    rows = disk.rows()
    disk.ok("backup", "policy-db", "--log", "-y")
    disk.server.kill()
    for entry in disk.server.data.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    os.chown(disk.server.data, 0, 0)
    disk.server.data.chmod(0o755)
    disk.ok("apply", "-y", "--scenario", "database-failure")
    assert disk.rows() == rows
    assert not left(disk)


@pytest.mark.parametrize("disk", ["a folder bound there"], indirect=True)
def test_put_back_when_it_cannot_be_accepted(disk: World) -> None:
    """The restored server listens on the port of before, where nobody looks for it."""
    server = disk.server
    server.stop()
    server.port = free_port()
    with (server.data / "postgresql.conf").open("a") as conf:
        conf.write(f"port = {server.port}\n")
    server.start()
    moment, _ = point(disk)
    rows, device = disk.rows(), os.stat(server.data).st_dev
    ran = disk.aegis("restore", "policy-db", "--to", moment, "-y", timeout=400)
    assert ran.code == 1, ran.text
    assert "policy-db.accept" in flat(ran)
    assert "Traceback" not in ran.text
    assert disk.rows() == rows
    assert os.stat(server.data).st_dev == device
    assert not [name for name in left(disk) if "old" in name]
    # The way on: the same data restores once the documents lead to it.
    disk.ok("plan", "--store", "policy-db", "--to", moment)


def test_killed_in_the_swap_and_resumed(disk: World) -> None:
    moment, rows = point(disk)
    plan = disk.ok("plan", "--store", "policy-db", "--to", moment, "--out", "restore.plan")
    assert plan.code == 0
    process = disk.start("apply", "restore.plan", "-y")
    where = Path(os.path.realpath(disk.server.data))
    try:
        while process.poll() is None:
            olds = [*where.glob("*aegis-old-*/*"), *where.parent.glob("*aegis-old-*/*")]
            if olds:
                break
        assert process.poll() is None, "it was over before it could be killed"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    ran = disk.aegis("resume", disk.runs()[-1].name, timeout=400)
    assert ran.code == 0, ran.text
    assert disk.rows() == rows
    protected_again(disk)


@pytest.fixture
def spread(bare: World) -> Iterator[tuple[World, Path, Path]]:
    """A protected server whose log and one table lie elsewhere: with the folders of both."""
    made, server = bare, bare.server
    log, space = server.folder.parent / "log disk" / "pg_wal", server.folder.parent / "space disk" / "space"
    for folder in (log, space):
        own(server, folder.parent, folder)
    server.stop()
    log.rmdir()
    shutil.move(server.data / "pg_wal", log)
    (server.data / "pg_wal").symlink_to(log)
    server.start()
    made.sql(f"CREATE TABLESPACE space LOCATION '{space}'")
    made.sql("ALTER TABLE policies SET TABLESPACE space")
    made.ok("apply", "-y")
    yield made, log, space
    server.end()


def opened(data: Path) -> set[Path]:
    """Every file that processes of the server of a data directory hold open, with all of it brought in."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or not os.path.samefile(entry / "cwd", data):
                continue
            found |= {Path(os.readlink(one)) for one in (entry / "fd").iterdir()}
        except OSError:
            continue
    return {path for path in found if str(path).startswith("/") and not str(path).startswith("/dev")}


def below(paths: set[Path], *folders: Path) -> set[Path]:
    return {path for path in paths if any(path.is_relative_to(folder) for folder in folders)}


@contextmanager
def serving(made: World, data: Path) -> Iterator[Server]:
    """Another server on a data directory, on a port of its own."""
    server = Server(data.parent, made.server.binaries, made.server.user, port=free_port())
    log = data.parent / f"{data.name}.log"
    options = f"-p {server.port} -k {made.server.sockets}"
    server.run("pg_ctl", "-D", str(data), "-l", str(log), "-o", options, "-w", "start")
    try:
        yield server
    finally:
        server.run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")


QUERY = "SELECT id, body FROM policies ORDER BY id"


def test_beside_opens_nothing_of_the_server_and_leaves_it_alone(spread: tuple[World, Path, Path]) -> None:
    made, log, space = spread
    moment, rows = point(made)
    before = made.rows()
    home = made.server.folder.parent / "beside"
    own(made.server, home)
    made.ok("restore", "policy-db", "--beside", str(home / "data"), "--to", moment, "-y")
    with made.server.connect() as held, serving(made, home / "data") as other, other.connect() as reader:
        assert reader.execute(QUERY).fetchall() == rows
        reader.execute("INSERT INTO policies (body) VALUES ('beside')")
        reader.execute("CHECKPOINT")
        held.execute("INSERT INTO policies (body) VALUES ('in the server')")
        held.execute("CHECKPOINT")
        theirs, ours = opened(home / "data"), opened(made.server.data)
        assert below(theirs, home / "data.tablespaces"), "the table was not looked at"
        assert below(ours, space), "the table was not looked at"
        assert below(ours, log), "the log was not looked at"
        assert not below(theirs, made.server.data, log, space)
        assert not below(ours, home)
    assert made.rows() == [*before, (before[-1][0] + 1, "in the server")]


def test_in_place_each_keeps_its_own_tablespace_and_log(spread: tuple[World, Path, Path]) -> None:
    made, log, space = spread
    moment, rows = point(made)
    before = made.rows()
    made.ok("restore", "policy-db", "--to", moment, "-y")
    assert made.rows() == rows
    (old,) = made.server.folder.glob("data.aegis-old-*")
    (old_space,) = space.parent.glob("space.aegis-old-*")
    new_log = (made.server.data / "pg_wal").resolve()
    assert new_log.parent == log.parent, "the log came to another disk"
    assert (old / "pg_wal").resolve() == log
    # Somebody starts the old data by hand, while the restored one serves.
    with made.server.connect() as held, serving(made, old) as other, other.connect() as reader:
        assert reader.execute(QUERY).fetchall() == before
        for connection in (reader, held):
            connection.execute("INSERT INTO policies (body) VALUES ('more')")
            connection.execute("CHECKPOINT")
        theirs, ours = opened(old), opened(made.server.data)
        assert below(theirs, old_space), "the table was not looked at"
        assert below(ours, space), "the table was not looked at"
        assert below(theirs, log), "the log was not looked at"
        assert not below(theirs, made.server.data, new_log, space)
        assert not below(ours, old, log, old_space)
    protected_again(made)


def test_what_is_not_kept_is_removed_from_every_disk(spread: tuple[World, Path, Path]) -> None:
    made, log, space = spread
    path = made.plans / "aegis.yaml"
    path.write_text(path.read_text().replace("    backup:\n", "    keep_old_data: no\n    backup:\n", 1))
    for _ in range(2):
        moment, rows = point(made)
        made.ok("restore", "policy-db", "--to", moment, "-y")
        assert made.rows() == rows
    assert [entry.name for entry in space.parent.iterdir()] == [space.name]
    (only,) = log.parent.iterdir()
    assert only == (made.server.data / "pg_wal").resolve()
    assert only.name.count("aegis") == 1
    assert not left(made)


def test_a_log_on_a_mount_point_within_is_refused_before_the_server_is_stopped(protected: World) -> None:
    made, server = protected, protected.server
    server.stop()
    kept = server.folder / "kept"
    shutil.move(server.data / "pg_wal", kept)
    with mounted("a folder bound there", server.data / "pg_wal", server.folder.parent / "disk"):
        subprocess.run(["cp", "-a", f"{kept}/.", str(server.data / "pg_wal")], check=True)
        own(server, server.data / "pg_wal")
        server.start()
        pid = server.pid
        ran = made.aegis("restore", "policy-db", "-y")
        assert ran.code == 1, ran.text
        assert "mount-within" in ran.text
        assert server.pid == pid
        server.end()


def test_a_mount_point_as_a_place_beside_or_a_tablespace_is_refused(spread: tuple[World, Path, Path]) -> None:
    made, _, space = spread
    made.ok("backup", "policy-db", "--log", "-y")
    beside = made.server.folder.parent / "beside"
    with mounted("a disk of its own", beside, beside):
        ran = made.aegis("restore", "policy-db", "--beside", str(beside), "-y")
        assert ran.code == 1, ran.text
        assert "place-is-mount-point" in ran.text
    made.server.stop()
    kept = made.server.folder / "kept space"
    shutil.move(space, kept)
    with mounted("a folder bound there", space, space.parent / "behind"):
        subprocess.run(["cp", "-a", f"{kept}/.", str(space)], check=True)
        own(made.server, space)
        made.server.start()
        pid = made.server.pid
        ran = made.aegis("restore", "policy-db", "-y")
        assert ran.code == 1, ran.text
        assert "tablespace-is-mount-point" in ran.text
        assert made.server.pid == pid
        made.server.end()
