"""A restore that fails after the swap leaves the server running on the old data."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.servers.postgresql import free_port
from tests.thread.damage import flat
from tests.thread.world import Ran, World


@contextmanager
def occupied(port: int) -> Iterator[None]:
    """Somebody else listens there."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        yield


@pytest.fixture
def moved(protected: World) -> tuple[World, int, str]:
    """A server that got another port after its backup: what is restored listens on the old one. With a moment of the
    log, and rows behind it."""
    world = protected
    server, old = world.server, world.server.port
    server.stop()
    server.port = free_port()
    with (server.data / "postgresql.conf").open("a") as conf:
        conf.write(f"port = {server.port}\n")
    server.start()
    world.insert(50, "second")
    ((moment,),) = world.sql("SELECT clock_timestamp()")
    world.insert(25, "third")
    world.ok("backup", "policy-db", "--log", "-y")
    assert isinstance(moment, datetime)
    return world, old, moment.astimezone(UTC).isoformat()


def put_back(world: World, moment: str, failing: str) -> Ran:
    """Applies the restore that fails in a step, and holds the world against how it was."""
    rows, server = world.rows(), world.server
    before = server.data.stat().st_ino
    ran = world.aegis("restore", "policy-db", "--to", moment, "-y", timeout=400)
    assert ran.code == 1, ran.text
    assert "Traceback" not in ran.text
    assert world.rows() == rows, "the old rows are not served"
    assert server.data.stat().st_ino == before, "another data directory is served"
    world.sql("INSERT INTO policies (body) VALUES ('after')")
    world.sql("DELETE FROM policies WHERE body = 'after'")
    assert not list(server.folder.glob("*.aegis-old-*"))
    assert len(list(server.folder.glob("*.aegis-failed-*"))) == 1
    said = flat(ran)
    assert f"policy-db.{failing}" in said
    assert "put back" in said or "undone" in said, said
    return ran


def test_a_server_that_does_not_start(moved: tuple[World, int, str]) -> None:
    world, old, moment = moved
    with occupied(old):
        put_back(world, moment, "start")


def test_a_server_that_cannot_be_accepted(moved: tuple[World, int, str]) -> None:
    world, old, moment = moved
    put_back(world, moment, "accept")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", old)) != 0, "the restored server still runs"
    # The way on: with the port given back, the same restore succeeds.
    for failed in world.server.folder.glob("*.aegis-failed-*"):
        shutil.rmtree(failed)
    world.ok("plan", "--store", "policy-db", "--to", moment)


def test_an_own_step_that_fails_after_the_acceptance(protected: World, tmp_path: Path) -> None:
    """The restored data stays: once it was accepted and written to, going back would lose more than it saves."""
    world = protected
    rows = world.rows()
    world.insert(50, "second")
    ((moment,),) = world.sql("SELECT clock_timestamp()")
    world.insert(25, "third")
    world.ok("backup", "policy-db", "--log", "-y")
    text = (world.plans / "aegis.yaml").read_text()
    place = "expect: {rto: 2h, rpo: 5m}}"
    assert place in text
    own = "expect: {rto: 2h, rpo: 5m}, steps: {verify: {compare: {run: [/bin/false]}}}}"
    (world.plans / "aegis.yaml").write_text(text.replace(place, own))
    planned = world.ok("plan", "--scenario", "database-failure", "--to", moment.isoformat())
    assert re.search(r"once policy-db\.accept \(\d+\) is done, what was restored stays", flat(planned)), planned.text
    ran = world.aegis("apply", "-y", "--scenario", "database-failure", "--to", moment.isoformat())
    assert ran.code == 1, ran.text
    assert "compare" in ran.text
    found = world.rows()
    assert len(found) == len(rows) + 50
    assert len(list(world.server.folder.glob("*.aegis-old-*"))) == 1
    assert world.aegis("plan", "--detailed-exitcode").code == 0
