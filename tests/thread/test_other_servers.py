"""The same promises for other servers: one with a tablespace, one with a replica, and a restore beside
that is a server of its own."""

from __future__ import annotations

import pwd
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.postgresql import PASSWORD, Server, free_port
from tests.thread.beside import rows_beside
from tests.thread.history import QUERY, History, protected_again
from tests.thread.world import World


def test_a_tablespace(bare: World) -> None:
    space = bare.server.folder / "space one"
    space.mkdir(mode=0o700)
    if bare.server.user:
        shutil.chown(space, bare.server.user, pwd.getpwnam(bare.server.user).pw_gid)
    bare.sql(f"CREATE TABLESPACE one LOCATION '{space}'")
    bare.sql("CREATE TABLE numbered (number int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp()) TABLESPACE one")
    history = History(bare)
    history.commit(3)
    bare.ok("apply", "-y")
    moment = history.commit(2)
    history.commit(1)
    bare.ok("backup", "policy-db", "--incremental", "-y")
    history.commit(1)
    bare.ok("backup", "policy-db", "--log", "-y")
    assert rows_beside(bare, "--to", moment.isoformat(), query=QUERY) == history.at(moment)
    assert history.now() == history.rows, "a restore beside touched the tablespace of the running server"
    bare.ok("restore", "policy-db", "--to", moment.isoformat(), "-y")
    second = history.branch(moment)
    assert second.now() == second.rows
    assert bare.sql("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'one'") == [(str(space),)]
    second.commit(2)
    bare.ok("backup", "policy-db", "--log", "-y")
    bare.destroy()
    shutil.rmtree(space)
    bare.ok("apply", "-y", "--scenario", "database-failure")
    assert second.now() == second.rows
    protected_again(bare)


def test_beside_is_a_server_of_its_own(protected: World) -> None:
    world = protected
    world.insert(10, "more")
    world.ok("backup", "policy-db", "--log", "-y")
    rows, pid = world.rows(), world.server.pid
    folder = world.folder.parent / "a place beside"
    folder.mkdir()
    other = Server(folder, world.server.binaries, world.server.user, port=free_port())
    if other.user:
        shutil.chown(folder, other.user)
    ran = world.ok("restore", "policy-db", "--beside", str(other.data), "-y")
    assert "RPA" in ran.text
    assert "RPA unknown" not in " ".join(ran.text.split())
    assert world.server.pid == pid
    assert not list(world.server.folder.glob("*.aegis-*"))
    world.insert(5, "only in the running server")
    try:
        # The port is given to pg_ctl: nothing in the folder is touched before it starts.
        other.run("pg_ctl", "-D", str(other.data), "-l", str(other.log), "-w",
                  "-o", f"-c port={other.port} -c unix_socket_directories={world.server.sockets}", "start")  # fmt: skip
        assert other.sql("SELECT id, body FROM policies ORDER BY id") == rows
        assert other.sql("SELECT pg_is_in_recovery()") == [(False,)]
    finally:
        other.end()
    protected_again(world)
    runs = world.runs()
    again = world.aegis("restore", "policy-db", "--beside", str(other.data), "-y")
    assert again.code == 1, again.text
    assert "place-occupied" in again.text
    assert world.runs() == runs, "it is refused in the plan already"


@contextmanager
def standby(made: World) -> Iterator[Server]:
    """A replica of the server of the world, declared as its second member."""
    folder = made.folder.parent / "replica"
    folder.mkdir()
    primary = made.server
    other = Server(folder, primary.binaries, primary.user, port=free_port())
    other.sockets.mkdir()
    if other.user:
        for path in (folder, other.sockets):
            shutil.chown(path, other.user)
    other.run("pg_basebackup", "-D", str(other.data), "-R", "-X", "stream", "-c", "fast",
              "-d", f"{primary.dsn()} password={PASSWORD}")  # fmt: skip
    with (other.data / "postgresql.conf").open("a") as conf:
        conf.write(f"\nport = {other.port}\nunix_socket_directories = '{other.sockets}'\n")
    made.environment["POLICY_DB_REPLICA"] = f"{other.dsn()} password={PASSWORD}"
    declare(made.plans / "aegis.yaml", other)
    other.start()
    try:
        yield other
    finally:
        other.end()


def declare(path: Path, other: Server) -> None:
    text = path.read_text()
    member = f"""\
      seoul-2:
        site: seoul
        connection: "${{env:POLICY_DB_REPLICA}}"
        server: {{data_directory: "{other.data}", binaries: "{other.binaries}", run_as: {other.user or "null"}}}
"""
    path.write_text(text.replace("    backup:\n", member + "    backup:\n", 1))


def test_a_replica_that_moves_on_makes_no_plan_stale(protected: World) -> None:
    world = protected
    world.insert(20, "second")
    with standby(world) as other:
        status = world.ok("status")
        assert "replica" in status.text
        over = world.aegis("plan", "--store", "policy-db", "--strategy", "failover", "--out", "over.plan")
        assert over.code == 1, over.text
        assert "make seoul-2 the primary of policy-db" in over.text
        assert re.search(r"seoul-2 is a replica \d+ (s|min) behind", " ".join(over.text.split())), over.text
        assert "not built yet" in over.text
        assert "plan-blocked" in world.aegis("apply", "-y", "over.plan").text
        moment = world.sql("SELECT clock_timestamp()")[0][0]
        world.insert(20, "third")
        world.ok("backup", "policy-db", "--log", "-y")
        other.sql("SELECT pg_wal_replay_pause()")
        backup = world.aegis("plan", "--store", "policy-db", "--out", "protect.plan")
        assert backup.code == 0, backup.text
        shown = world.aegis("plan", "--store", "policy-db", "--to", moment.isoformat(), "--out", "back.plan")
        assert shown.code == 0, shown.text
        assert "replica-left-behind" in shown.text
        # The replica receives and does not replay: its lag grows.
        world.sql("INSERT INTO policies (body) SELECT repeat('x', 1000) FROM generate_series(1, 3000)")
        behind = "SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) > 1000000"
        limit = time.monotonic() + 30
        while other.sql(behind) != [(True,)]:
            assert time.monotonic() < limit, "the replica does not fall behind"
            time.sleep(0.1)
        world.ok("apply", "-y", "back.plan")
        assert world.sql("SELECT count(*) FROM policies WHERE body LIKE 'third%'") == [(0,)]
        assert world.sql("SELECT count(*) FROM policies WHERE body LIKE 'second%'") == [(20,)]
