"""`aegis init --from` on real servers: what it writes, what it refuses to guess, and that it changes nothing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aegis_plan.cli.adopted import documents
from aegis_plan.cli.wire import World, load_documents
from aegis_plan.clock import SystemClock
from aegis_plan.documents.load import load
from aegis_plan.errors import AegisError
from aegis_plan.observe.check import check
from aegis_plan.requirement import Requirement
from aegis_plan.sealing.keys import new_identity, new_signing_key
from aegis_plan.stores.postgresql.adopt import Adopted, adopt
from aegis_plan.stores.postgresql.check_host import host
from aegis_plan.stores.postgresql.check_server import Seen
from aegis_plan.stores.postgresql.model import Server as Declared
from tests.servers.postgresql import PASSWORD, Server, cluster, free_port


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Server, Server]]:
    """A primary with a tablespace and an archiver, and a replica of it."""
    with cluster(18, archive_mode="on", archive_command="/bin/true --key=s3cr3t-of-archiver") as primary:
        place = primary.folder / "space"
        place.mkdir()
        if primary.user:
            shutil.chown(place, primary.user)
        primary.sql(f"CREATE TABLESPACE fast LOCATION '{place}'")
        replica = Server(primary.folder / "replica", primary.binaries, primary.user, port=free_port())
        replica.sockets.mkdir(parents=True)
        for path in (replica.folder, replica.sockets):
            if primary.user:
                shutil.chown(path, primary.user)
        (primary.folder / "pass").write_text(f"*:*:*:*:{PASSWORD}\n")
        os.chmod(primary.folder / "pass", 0o600)
        if primary.user:
            shutil.chown(primary.folder / "pass", primary.user)
        primary.run("pg_basebackup", "-D", str(replica.data), "-R", "-c", "fast", "-X", "stream", "-d",
                    f"{primary.dsn()} passfile={primary.folder / 'pass'} application_name=second",
                    "-T", f"{place}={replica.folder / 'space'}")  # fmt: skip
        with (replica.data / "postgresql.conf").open("a") as conf:
            conf.write(f"\nport = {replica.port}\nunix_socket_directories = '{replica.sockets}'\n")
        replica.start()
        try:
            for _ in range(200):
                if primary.sql("SELECT 1 FROM pg_stat_replication WHERE replay_lsn IS NOT NULL"):
                    break
                threading.Event().wait(0.05)
            yield primary, replica
        finally:
            replica.end()


SEALING = f"""aegis: v1
sealing:
  recovery_recipient: {new_identity()[1]}
  signers: {{main: {new_signing_key()[1]}}}
"""


def full(server: Server) -> str:
    return f"{server.dsn()} password={PASSWORD}"


def test_what_is_seen_of_a_primary(pair: tuple[Server, Server]) -> None:
    primary, _ = pair
    found = adopt(full(primary))
    assert (found.major, found.replica, found.here) == (18, False, True)
    assert found.data_directory == str(primary.data)
    assert found.binaries == os.path.realpath(primary.binaries)
    assert found.run_as == (primary.user or found.run_as)
    assert found.control == "pg_ctl"
    assert found.tablespaces == {"fast": str(primary.folder / "space")}
    assert found.archive_mode == "on"
    assert [(one.role, one.address) for one in found.others] == [("replica", "")]


@pytest.mark.parametrize("which", [0, 1], ids=["primary", "replica"])
def test_its_documents_are_valid_and_say_what_is_left(pair: tuple[Server, Server], which: int, tmp_path: Path) -> None:
    found = adopt(full(pair[which]))
    assert found.replica == bool(which)
    made = documents(found, "shop", "orders", "main", "aegis")
    loaded = _loaded(made.files, tmp_path)
    store = loaded.documents.stores["orders"]
    assert len(store.members) == 2
    assert store.members["main-1"].server["data_directory"] == str(pair[which].data)
    assert store.backup is not None
    assert store.backup.incremental is not None
    assert "incremental-outlives-full" not in {one.code for one in loaded.warnings(SystemClock().now())}
    left = [one for one in loaded.warnings(SystemClock().now()) if one.code == "to-do-left"]
    assert len(left) == 1, "the data directory of the other one"
    assert left[0].position is not None
    text = "".join(made.files.values())
    assert PASSWORD not in text
    assert "s3cr3t-of-archiver" not in text, "an archive command may hold a secret"
    assert "true; aegis reads" in text
    assert all(one.startswith("# yaml-language-server: $schema=../schemas/") for one in made.files.values())
    assert set(made.variables) == {"ORDERS", "ORDERS_2"}


def _loaded(files: dict[str, str], folder: Path) -> Any:
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "sealing.yaml").write_text(SEALING)
    return load(folder)


def test_every_way_to_say_where_it_is(
    pair: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    primary, _ = pair
    services = tmp_path / "pg_service.conf"
    services.write_text(
        f"[shop]\nhost=127.0.0.1\nport={primary.port}\nuser=aegis\ndbname=postgres\npassword={PASSWORD}\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    ways = [
        f"postgresql://aegis:{PASSWORD}@127.0.0.1:{primary.port}/postgres",
        "service=shop",
        f"host={primary.sockets} port={primary.port} user=aegis",
        f"host={primary.sockets} port={primary.port} user=aegis dbname=postgres password={PASSWORD}",
    ]
    for way in ways:
        assert adopt(way).data_directory == str(primary.data), way


def test_it_changes_nothing(pair: tuple[Server, Server]) -> None:
    primary, _ = pair
    query = "SELECT pg_current_wal_insert_lsn()::text, (SELECT count(*) FROM pg_replication_slots)"
    primary.sql("CHECKPOINT")
    before = primary.sql(query)
    adopt(full(primary))
    assert primary.sql(query) == before


def test_servers_that_did_not_show_are_told(pair: tuple[Server, Server], tmp_path: Path) -> None:
    """Documents with one member must not look like all there is."""
    primary, replica = pair
    primary.sql(f"CREATE ROLE half LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_read_all_settings")
    primary.sql("REVOKE SELECT ON pg_stat_replication FROM PUBLIC")
    primary.sql("REVOKE EXECUTE ON FUNCTION pg_stat_get_wal_senders() FROM PUBLIC")
    try:
        found = adopt(f"host=127.0.0.1 port={primary.port} dbname=postgres user=half password={PASSWORD}")
    finally:
        primary.sql("GRANT SELECT ON pg_stat_replication TO PUBLIC")
        primary.sql("GRANT EXECUTE ON FUNCTION pg_stat_get_wal_senders() TO PUBLIC")
    assert found.others == ()
    assert found.members_unsure
    assert "replicas could not be looked at" in " ".join(found.unsure)
    made = documents(found, "shop", "orders", "main", "aegis")
    _loaded(made.files, tmp_path)
    text = made.files["orders.yaml"]
    assert "TODO: other servers of this store" in text
    assert "replicas could not be looked at" in text
    alone = adopt(f"host=127.0.0.1 port={replica.port} dbname=postgres user=half password={PASSWORD}")
    assert alone.replica
    assert alone.members_unsure, "a replica has a primary, whether it shows or not"
    whole = adopt(full(primary))
    assert "TODO: other servers" not in documents(whole, "shop", "orders", "main", "aegis").files["orders.yaml"]


@contextmanager
def answering(said: bytes) -> Iterator[int]:
    """Another program that listens on a port and says something to whoever comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.recv(1024)
                    client.sendall(said)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@contextmanager
def pooled(server: Server) -> Iterator[int]:
    """What a pooler does to a session as the client sees it: it hands out a key of its own for cancelling."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def carry(client: socket.socket, behind: socket.socket, change: bool) -> None:
            with client, behind:
                while data := client.recv(65536):
                    at = data.find(b"K\0\0\0\x0c") if change else -1
                    if at >= 0:
                        data = data[: at + 5] + b"\0\0\0\x07" + data[at + 9 :]
                    behind.sendall(data)

        def serve() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                behind = socket.create_connection(("127.0.0.1", server.port))
                for one, other, change in ((client, behind, False), (behind, client, True)):
                    threading.Thread(target=_quietly, args=(carry, one, other, change), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def _quietly(work: Any, *arguments: Any) -> None:
    try:
        work(*arguments)
    except OSError:
        return


def test_what_it_refuses_and_how(pair: tuple[Server, Server]) -> None:
    primary, _ = pair
    primary.sql(f"CREATE ROLE plain LOGIN PASSWORD '{PASSWORD}'")

    def refusal(text: str) -> AegisError:
        with pytest.raises(AegisError) as raised:
            adopt(text)
        assert PASSWORD not in f"{raised.value} {raised.value.hint}"
        return raised.value

    at = f"host=127.0.0.1 port={primary.port} dbname=postgres"
    wrong = refusal(f"{at} user=aegis password=not-it")
    assert (wrong.code, "password" in wrong.detail) == ("login-refused", True)
    blind = refusal(f"{at} user=plain password={PASSWORD}")
    assert blind.code == "settings-not-visible"
    assert "GRANT pg_monitor TO plain" in blind.hint
    assert refusal(f"{at} user=aegis password={PASSWORD} dbname=none-such").code == "database-missing"
    nobody = refusal(f"host=127.0.0.1 port={free_port()} user=aegis")
    assert (nobody.code, "nothing listens there" in nobody.detail) == ("server-unreachable", True)
    assert refusal("service=none-such-at-all").code == "connection-malformed"
    assert refusal("postgresql://[").code == "connection-malformed"
    assert "no host has that name" in refusal("host=no-such-host.invalid user=aegis").detail
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert refusal(f"host=127.0.0.1 port={port} user=aegis").code == "not-postgresql"
    with pooled(primary) as port:
        assert refusal(f"host=127.0.0.1 port={port} user=aegis password={PASSWORD}").code == "pooler-in-between"


def test_the_command_overwrites_nothing_and_shows_no_password(pair: tuple[Server, Server], tmp_path: Path) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "aegis_plan", "init", str(tmp_path / "new"), "--from", full(pair[0])],
            capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"}, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    done = run()
    assert done.returncode == 0, done.stderr
    assert "export MAIN_DB=" in done.stdout
    assert PASSWORD not in done.stdout + done.stderr
    plans = tmp_path / "new" / "plans"
    before = {path: path.read_bytes() for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert load(plans).documents.sealing is not None, "keys are made, so that the documents are whole"
    schema = (plans / "system.yaml").read_text().splitlines()[0].partition("$schema=")[2]
    assert (plans / schema).resolve() in before
    (plans / "system.yaml").unlink()
    again = run()
    assert again.returncode == 1
    assert "file-exists" in again.stderr
    assert not (plans / "system.yaml").exists(), "all files or none"


def test_what_only_a_newer_server_can_lack(
    pair: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Incrementals need a summarized log; a replica that is not read is only warned of."""
    primary, replica = pair
    found: Adopted = adopt(full(primary))
    folder = tmp_path / "plans"
    folder.mkdir()
    made = documents(found, "shop", "orders", "main", "aegis")
    made.files["orders.yaml"] = made.files["orders.yaml"].replace("/TODO/data-directory", str(replica.data))
    _loaded(made.files, folder)
    site = tmp_path / "site"
    site.mkdir()
    (site / "main.yaml").write_text("aegis-site: v1\nsite: main\nfolder: main\n")
    monkeypatch.setenv("ORDERS", full(primary))
    monkeypatch.setenv("ORDERS_2", full(replica))
    monkeypatch.chdir(tmp_path)
    loaded = load_documents()
    world = World(loaded.documents, loaded.digest)

    def missing() -> list[Requirement]:
        said = check(loaded.documents, world.dispatcher, world.clock, stores=["orders"], repositories=[], sites={})
        return [one for one in said if one.state != "ok"]

    try:
        assert missing() == []
        for server in pair:
            server.sql("ALTER SYSTEM SET summarize_wal = off")
            server.sql("SELECT pg_reload_conf()")
        lacks = {(one.subject.rpartition("/")[2], one.code, one.severity, one.effect) for one in missing()}
        assert lacks == {
            ("main-1", "summarize-wal-off", "breach", "reload"),
            ("main-2", "summarize-wal-off", "warning", "reload"),
        }
        for statement in next(one for one in missing() if one.counts).sql:
            primary.sql(statement)
        primary.sql("SELECT pg_reload_conf()")
        assert [one.severity for one in missing()] == ["warning"]
        # Of replicas alone nothing is read: their warnings must not pass for a store that can be backed up.
        monkeypatch.setenv("ORDERS", full(replica))
        alone = World(loaded.documents, loaded.digest)
        try:
            said = check(loaded.documents, alone.dispatcher, alone.clock, stores=["orders"], repositories=[], sites={})
        finally:
            alone.close()
        assert "no-primary" in {one.code for one in said if one.state == "missing"}
        monkeypatch.setenv("ORDERS", full(primary))
        monkeypatch.setenv("ORDERS_2", full(primary))
        both = World(loaded.documents, loaded.digest)
        try:
            said = check(loaded.documents, both.dispatcher, both.clock, stores=["orders"], repositories=[], sites={})
        finally:
            both.close()
        assert "two-primaries" in {one.code for one in said if one.state == "missing"}
    finally:
        world.close()


def test_what_was_typed_when_it_was_started_is_written_down_and_asked_for(tmp_path: Path) -> None:
    """`pg_ctl -o "-p ..."`: no file says it, and without it a restored server listens elsewhere."""
    with cluster(18) as server:
        server.stop()
        server.port, folder = free_port(), server.folder / "other"
        folder.mkdir()
        if server.user:
            shutil.chown(folder, server.user)
        typed = f"-p {server.port} -k {folder} -c work_mem=8MB -c application_name='of a person'"
        server.run("pg_ctl", "-D", str(server.data), "-l", str(server.log), "-w", "-o", typed, "start")
        found = adopt(full(server))
        made = documents(found, "shop", "orders", "main", "aegis")
        declared = _loaded(made.files, tmp_path).documents.stores["orders"].members["main-1"].server
        assert declared is not None
        written = Declared.model_validate(declared)
        assert (written.port, written.socket_directory) == (server.port, str(folder))
        seen = Seen(data_directory=found.data_directory, version=found.version)

        def lacks(one: Declared, seen: Seen = seen) -> str:
            said = {one.code: one for one in host(one, seen, "beside", "stores/orders/main-1")}
            asked = said["command-line-not-declared"]
            assert (asked.state == "ok") == (not asked.hint)
            return asked.hint

        assert lacks(written) == ""
        assert f"port: {server.port}" in lacks(written.model_copy(update={"port": None}))
        assert f"port: {server.port}" in lacks(written.model_copy(update={"port": 5432}))
        assert "work_mem=8MB" in lacks(written.model_copy(update={"options": ""}))
        # As the server tells it, also where the note of its start cannot be read.
        (server.data / "postmaster.opts").unlink()
        bare = written.model_copy(update={"port": None, "socket_directory": None, "options": ""})
        assert lacks(bare) == ""
        seen.command_line = found.command_line
        assert f"socket_directory: {folder}" in lacks(bare)
        # Started with what is written, as pg_ctl would be, it has the same again.
        server.stop()
        again = f"{written.options} -p {written.port} -k {written.socket_directory}"
        server.run("pg_ctl", "-D", str(server.data), "-l", str(server.log), "-w", "-o", again, "start")
        assert adopt(full(server)).command_line == found.command_line
