"""A role for backups that is no superuser, made word by word as the manual says: it carries everything, and each right
that it lacks is named."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import aegis_plan
from tests.thread.damage import flat
from tests.thread.history import protected_again
from tests.thread.world import World, world

MANUAL = (Path(aegis_plan.__file__).parent / "docs/manual/postgresql.md").read_text()
BLOCKS = re.findall(r"```(?:sql)?\n(.*?)```", MANUAL, re.DOTALL)
MAKE, LINES, GRANT = BLOCKS[:3]


@contextmanager
def made(major: int) -> Iterator[World]:
    """A server whose pg_hba.conf lies outside its data directory, as on Debian, with the role of the manual."""
    with world(major=major) as it:
        server = it.server
        hba = server.folder / "etc" / "pg_hba.conf"
        hba.parent.mkdir()
        hba.write_text(f"local all all trust\nhost all aegis 127.0.0.1/32 scram-sha-256\n{LINES}")
        if server.user:
            for path in (hba.parent, hba):
                shutil.chown(path, server.user)
        with (server.data / "postgresql.conf").open("a") as conf:
            conf.write(f"hba_file = '{hba}'\n")
        server.stop()
        server.start()
        for statement in f"{MAKE}{GRANT}".split(";"):
            if statement.strip():
                it.sql(statement)
        it.environment["POLICY_DB"] = (
            f"host=127.0.0.1 port={server.port} user=backup password='of your own' dbname=postgres"
        )
        yield it


@pytest.fixture(scope="module", params=[15, 18])
def role(request: pytest.FixtureRequest) -> Iterator[World]:
    with made(request.param) as it:
        it.ok("apply", "-y")
        yield it


def hba(it: World) -> Path:
    return it.server.folder / "etc" / "pg_hba.conf"


def test_it_is_no_superuser(role: World) -> None:
    assert role.sql("SELECT rolsuper, rolreplication FROM pg_roles WHERE rolname = 'backup'") == [(False, True)]


@pytest.mark.parametrize(
    ("take", "give", "said"),
    [
        ("REVOKE pg_monitor FROM backup", "GRANT pg_monitor TO backup", "grant pg_read_all_settings"),
        ("REVOKE pg_read_server_files FROM backup", "GRANT pg_read_server_files TO backup", "pg_hba.conf: "),
        (
            "REVOKE EXECUTE ON FUNCTION pg_read_binary_file(text) FROM backup",
            "GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO backup",
            "permission denied for function pg_read_binary_file",
        ),
    ],
)
def test_a_right_that_only_the_configuration_needs(role: World, take: str, give: str, said: str) -> None:
    role.sql(take)
    try:
        ran = role.ok("backup", "policy-db", "--full", "-y")
    finally:
        role.sql(give)
    assert "configuration-not-read" in ran.text
    assert said in flat(ran), ran.text
    ran = role.ok("backup", "policy-db", "--full", "-y")
    assert "configuration-not-read" not in ran.text


@pytest.mark.parametrize("what", ["attribute", "line"])
def test_without_replication(role: World, what: str) -> None:
    text = hba(role).read_text()
    try:
        if what == "attribute":
            role.sql("ALTER ROLE backup NOREPLICATION")
        else:
            hba(role).write_text("".join(line for line in text.splitlines(True) if "replication" not in line))
            role.sql("SELECT pg_reload_conf()")
        ran = role.aegis("backup", "policy-db", "--full", "-y")
    finally:
        hba(role).write_text(text)
        role.sql("SELECT pg_reload_conf()")
        role.sql("ALTER ROLE backup REPLICATION")
    assert ran.code == 1, ran.text
    assert "no-replication-right" in ran.text
    assert "replication-not-allowed" in ran.text or "does not let this role replicate" in flat(ran)
    assert "ALTER ROLE ... REPLICATION" in flat(ran)
    assert "host replication" in flat(ran)


def test_without_its_line_for_queries(role: World) -> None:
    text = hba(role).read_text()
    try:
        hba(role).write_text(
            "".join(line for line in text.splitlines(True) if not re.match(r"host +all +backup", line))
        )
        role.sql("SELECT pg_reload_conf()")
        ran = role.aegis("backup", "policy-db", "--full", "-y")
    finally:
        hba(role).write_text(text)
        role.sql("SELECT pg_reload_conf()")
    assert ran.code == 1, ran.text
    assert "login-refused" in ran.text or "the server refused the login" in flat(ran), ran.text


def test_it_carries_a_restore_and_its_configuration_comes_back(role: World) -> None:
    """The last of the module: the server and its configuration are lost."""
    role.insert(20, "more")
    role.ok("backup", "policy-db", "--log", "-y")
    rows, lines = role.rows(), hba(role).read_text()
    role.destroy()
    hba(role).unlink()
    role.ok("apply", "-y", "--scenario", "database-failure")
    assert hba(role).read_text() == lines
    assert role.rows() == rows
    protected_again(role)
