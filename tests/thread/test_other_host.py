"""A restore at a place that lacks what the server had: libraries that it preloads, extensions, its configuration. What
would fail later in obscure words is said before anything is fetched or stopped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.postgresql import Server, free_port
from tests.thread.beside import rows_beside
from tests.thread.damage import flat
from tests.thread.world import World, world


def linked(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


@pytest.fixture(scope="module")
def rich() -> Iterator[World]:
    """A server that preloads a library and uses extensions; the documents name programs of another host, whole yet."""
    with world() as made:
        server = made.server
        with (server.data / "postgresql.conf").open("a") as conf:
            conf.write("shared_preload_libraries = 'pg_stat_statements'\n")
        server.stop()
        server.start()
        made.sql("CREATE EXTENSION pg_stat_statements")
        made.sql("CREATE EXTENSION hstore")
        made.sql("ALTER SYSTEM SET session_preload_libraries = 'auto_explain'")
        other = server.folder.parent / "other host"
        shutil.copytree(server.binaries.parent, other, copy_function=linked, symlinks=True)
        path = made.plans / "aegis.yaml"
        path.write_text(path.read_text().replace(f'binaries: "{server.binaries}"', f'binaries: "{other}/bin"'))
        made.ok("apply", "-y")
        yield made


def test_whole(rich: World) -> None:
    assert rows_beside(rich) == rich.rows()
    assert "extension-missing" not in rich.outputs[-1]


def test_an_extension_is_missing(rich: World) -> None:
    path = next((rich.server.folder.parent / "other host").rglob("extension/hstore.control"))
    path.rename(path.with_suffix(".away"))
    try:
        assert rows_beside(rich) == rich.rows()
    finally:
        path.with_suffix(".away").rename(path)
    said = " ".join(rich.outputs[-1].split())
    assert "warning[extension-missing]" in said, said
    assert "hstore, looked for in" in said


@pytest.mark.parametrize("place", ["beside", "in place"])
def test_a_preloaded_library_is_missing(rich: World, place: str) -> None:
    path = next((rich.server.folder.parent / "other host").rglob("pg_stat_statements.so"))
    path.rename(path.with_suffix(".away"))
    folder, pid = rich.server.folder.parent / "beside lacking", rich.server.pid
    try:
        more = ["--beside", str(folder)] if place == "beside" else []
        ran = rich.aegis("restore", "policy-db", "-y", *more)
    finally:
        path.with_suffix(".away").rename(path)
    assert ran.code == 1, ran.text
    assert "preload-library-missing" in ran.text
    assert "pg_stat_statements, looked for in" in flat(ran)
    assert "install the package" in flat(ran)
    assert "policy-db.replay skipped" in flat(ran), "it was fetched first"
    assert not list(folder.parent.glob("beside lacking*"))
    assert rich.server.pid == pid


def test_a_library_of_sessions_is_missing(rich: World) -> None:
    """It would refuse every connection to the restored server, and its proof would wait for ever."""
    path = next((rich.server.folder.parent / "other host").rglob("auto_explain.so"))
    path.rename(path.with_suffix(".away"))
    folder = rich.server.folder.parent / "beside"
    folder.mkdir()
    if rich.server.user:
        shutil.chown(folder, rich.server.user)
    try:
        ran = rich.aegis("restore", "policy-db", "-y", "--beside", str(folder / "data"), timeout=120)
    finally:
        path.with_suffix(".away").rename(path)
    assert ran.code == 0, ran.text


@pytest.fixture
def configured() -> Iterator[tuple[World, Path]]:
    """A server whose whole configuration lies outside, as on Debian, and says where its data is."""
    with world() as made:
        server = made.server
        etc = server.folder / "etc"
        etc.mkdir()
        server.stop()
        names = ("postgresql.conf", "pg_hba.conf", "pg_ident.conf")
        for name in names:
            shutil.move(server.data / name, etc / name)
        with (etc / "postgresql.conf").open("a") as conf:
            conf.write(f"data_directory = '{server.data}'\nhba_file = '{etc}/pg_hba.conf'\n")
            conf.write(f"ident_file = '{etc}/pg_ident.conf'\nexternal_pid_file = '{server.folder}/extra.pid'\n")
        if server.user:
            for path in (etc, *etc.iterdir()):
                shutil.chown(path, server.user)
        option = f"-c config_file={etc}/postgresql.conf"
        server.run("pg_ctl", "-D", str(server.data), "-l", str(server.log), "-o", option, "-w", "start")
        path = made.plans / "aegis.yaml"
        path.write_text(path.read_text().replace("run_as:", f'options: "{option}", run_as:'))
        yield made, etc


def test_a_copy_beside_is_started_and_not_the_original(configured: tuple[World, Path]) -> None:
    """By the plainest command, with the original stopped: the configuration named the original's data directory."""
    made, etc = configured
    made.ok("apply", "-y")
    rows, lines = made.rows(), (etc / "pg_hba.conf").read_text()
    folder = made.server.folder.parent / "beside"
    folder.mkdir()
    copy = Server(folder, made.server.binaries, made.server.user, port=free_port())
    if copy.user:
        shutil.chown(folder, copy.user)
    made.ok("restore", "policy-db", "--beside", str(copy.data), "-y")
    made.server.stop()
    before = sorted(entry.name for entry in made.server.data.iterdir())
    copy.run("pg_ctl", "-D", str(copy.data), "-l", str(copy.log), "-o", f"-p {copy.port}", "-w", "start")
    try:
        assert copy.sql("SHOW data_directory") == [(str(copy.data),)]
        assert copy.sql("SHOW hba_file") == [(str(copy.data / "pg_hba.conf"),)]
        assert (copy.data / "pg_hba.conf").read_text() == lines
        assert copy.sql("SELECT id, body FROM policies ORDER BY id") == rows
        assert sorted(entry.name for entry in made.server.data.iterdir()) == before
        assert not (made.server.folder / "extra.pid").exists()
    finally:
        copy.end()


def test_no_configuration_is_made_up(configured: tuple[World, Path]) -> None:
    """The role could not read it, and the host lost it: refused before anything is touched, with the way on."""
    made, etc = configured
    made.sql("CREATE ROLE backup LOGIN REPLICATION PASSWORD 'x'")
    made.environment["POLICY_DB"] = f"host=127.0.0.1 port={made.server.port} user=backup password=x dbname=postgres"
    made.ok("apply", "-y")
    rows = made.rows()
    kept = made.server.folder / "kept"
    etc.rename(kept)
    ran = made.aegis("restore", "policy-db", "-y")
    assert ran.code == 1, ran.text
    assert "configuration-missing" in ran.text
    assert "postgresql.conf is not on this host" in flat(ran)
    assert made.rows() == rows
    kept.rename(etc)
    made.ok("restore", "policy-db", "-y")
    assert made.rows() == rows
