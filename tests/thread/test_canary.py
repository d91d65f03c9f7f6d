"""A password of a connection string shows in nothing that the product prints, keeps, seals or sends."""

from __future__ import annotations

import base64
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.servers.postgresql import PASSWORD
from tests.servers.toxiproxy import Toxiproxy, toxiproxy
from tests.thread.daemon import daemon, until
from tests.thread.proxied import running
from tests.thread.world import World, world

__all__ = ["toxiproxy"]

HARD = "c4n4ry/p@ss w%rd:7k2"
"""A password that a URL has to encode."""
FORMS = {
    "the password": PASSWORD,
    "its first half": PASSWORD[: len(PASSWORD) // 2 + 1],
    "the hard password": HARD,
    "the hard password, encoded": quote(HARD, safe=""),
    "half of the hard password": "p@ss w%rd",
    "half of the hard password, encoded": "p%40ss%20w%25rd",
}
NEEDLES = {name: text.encode() for name, text in FORMS.items()}
NEEDLES |= {
    f"{name}, in base64 at {shift}": base64.b64encode(b"\0" * shift + text.encode())[4 if shift else 0 : -4]
    for name, text in (("the password", PASSWORD), ("the hard password", HARD))
    for shift in range(3)
}


def searched(made: World) -> int:
    """Fails when any file of the world but the server's own shows a secret; how many were read."""
    base = made.folder.parent
    count = 0
    for path in base.rglob("*"):
        if path.is_relative_to(made.server.folder) or not path.is_file() or path.is_symlink():
            continue
        count += 1
        shown(f"{path.relative_to(base)}", path.read_bytes())
        shown("a file's name", str(path.relative_to(base)).encode())
    return count


def shown(where: str, data: bytes) -> None:
    found = [name for name, needle in NEEDLES.items() if needle in data]
    assert not found, f"{found} in {where}: {data[:2000]!r}"


@pytest.fixture(scope="module")
def told() -> Iterator[World]:
    with world() as made:
        made.sql(f"CREATE ROLE hard LOGIN SUPERUSER REPLICATION PASSWORD '{HARD}'")
        yield made


@pytest.fixture(autouse=True)
def nothing_shows(told: World) -> Iterator[None]:
    """After every case: what was printed, and all files that are there."""
    yield
    for output in told.outputs:
        shown("what a command printed", output.encode())
    assert searched(told) > 0


def url(made: World, password: str) -> str:
    return f"postgresql://hard:{password}@127.0.0.1:{made.server.port}/postgres"


def test_protection_and_looks(told: World) -> None:
    told.ok("plan", "--out", "posture.plan")
    told.ok("plan", "--json")
    told.ok("show", "posture.plan", "--json")
    told.ok("-vv", "apply", "posture.plan", "-y")
    told.insert(20, "more")
    told.ok("-vv", "backup", "policy-db", "-y", "--json")
    for words in (("status",), ("status", "--json"), ("catalog",), ("runs",), ("runs", "--json")):
        told.ok(*words)
    assert told.aegis("validate").code == 3  # its log is archived once a day, against 15 minutes
    for run in told.runs():
        told.ok("runs", run.name)


def test_a_url_with_an_encoded_password(told: World) -> None:
    env = {"POLICY_DB": url(told, quote(HARD, safe=""))}
    told.ok("-vv", "backup", "policy-db", "--incremental", "-y", env=env)
    told.ok("-vv", "backup", "policy-db", "--log", "-y", env=env)
    assert "primary" in told.ok("status", env=env).text


BROKEN = (
    "host=127.0.0.1 port={port} user=aegis dbname=postgres password=wrong-" + PASSWORD,
    "host=127.0.0.1 port={port} user=aegis dbname=" + PASSWORD + " password=" + PASSWORD,
    "host=127.0.0.1 port={port} user=hard dbname=postgres password=" + HARD,
    "host=127.0.0.1 port={port} user=aegis password='" + PASSWORD,
    "host=127.0.0.1 port=" + PASSWORD + " user=aegis",
    "host=" + PASSWORD + ".invalid user=aegis password=" + PASSWORD,
    PASSWORD,
    "postgresql://hard:" + HARD + "@127.0.0.1:{port}/postgres",
    "postgresql://hard:%zz" + PASSWORD + "@127.0.0.1:{port}/postgres",
    "postgresql://hard:" + PASSWORD + "@127.0.0.1:{port}/postgres?" + PASSWORD + "=1",
    "postgresql://hard:wrong" + quote(HARD, safe="") + "@127.0.0.1:{port}/postgres",
    "postgresql://127.0.0.1:1/postgres?user=aegis&password=" + quote(HARD, safe=""),
)
"""Connection strings that fail, and which libpq quotes in its errors."""


def test_connection_strings_that_fail(told: World) -> None:
    for connection in BROKEN:
        env = {"POLICY_DB": connection.replace("{port}", str(told.server.port))}
        ran = told.aegis("-vv", "backup", "policy-db", "-y", env=env)
        assert ran.code == 1, ran.text
    assert told.aegis("status", "--json", env=env).out
    assert "Traceback" not in told.aegis("plan", "--json", env=env).text


def test_a_password_in_the_documents_themselves_is_not_repeated(told: World) -> None:
    """It is refused or accepted, but never told."""
    path = told.plans / "aegis.yaml"
    before = path.read_text()
    path.write_text(before.replace("${env:POLICY_DB}", f"host=127.0.0.1 password={PASSWORD}"))
    try:
        for words in (("validate",), ("plan",), ("-vv", "plan", "--json"), ("plan", "--out", "leak.plan")):
            ran = told.aegis(*words)
            assert ran.code == 1, ran.text
        assert not (told.folder / "leak.plan").exists()
    finally:
        path.write_text(before)


def test_a_server_that_goes_away_and_a_killed_run(told: World, toxiproxy: Toxiproxy) -> None:
    proxy = toxiproxy.to(told.server.port)
    port = str(told.server.port)
    told.environment["POLICY_DB"] = told.dsn().replace(f"port={port}", f"port={proxy.port}")
    try:
        for how in ("server", "tool"):
            with proxy.toxic("bandwidth", rate=800), running(told, "-vv", "backup", "policy-db", "-y") as backup:
                backup.moving()
                for child in processes(backup.process.pid):
                    shown("the arguments of a process", child)
                if how == "server":
                    told.server.stop("immediate")
                else:
                    os.killpg(backup.process.pid, signal.SIGKILL)
                try:
                    assert backup.end(120) != 0
                finally:
                    if how == "server":
                        told.server.start()
        told.ok("-vv", "resume", told.runs()[-1].name)
    finally:
        del told.environment["POLICY_DB"]


def processes(pid: int) -> list[bytes]:
    """Arguments of a process and its children."""
    found = [Path(f"/proc/{pid}/cmdline").read_bytes()]
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found.append(Path(f"/proc/{child}/cmdline").read_bytes())
    return found


def test_a_crash_of_the_tool_itself(told: World) -> None:
    ran = told.aegis("-vv", "backup", "policy-db", "-y", env={"AEGIS_KILL_AT": "not a number"})
    assert ran.code == 1, ran.text


def test_the_daemon_and_its_stream(told: World) -> None:
    told.declare_log("stream: true")
    told.environment |= {"AEGIS_STREAM_SECONDS": "0.5", "POLICY_DB": url(told, quote(HARD, safe=""))}
    with daemon(told) as running_daemon:
        told.ok("-vv", "apply", "-y")
        told.insert(10, "streamed")
        running_daemon.flowed()
        told.sql("ALTER ROLE hard PASSWORD 'other'")
        told.server.stop("immediate")
        told.server.start()
        until(lambda: running_daemon.stream["state"] == "failed", "it does not notice")
        until(lambda: "login-refused" in running_daemon.stream["error"], lambda: running_daemon.stream)
        told.aegis("status")
        told.sql(f"ALTER ROLE hard PASSWORD '{HARD}'")
        running_daemon.flowed()


def test_a_recovery(told: World) -> None:
    rows = told.rows()
    told.destroy()
    told.ok("plan", "--scenario", "database-failure", "--out", "recovery.plan")
    told.ok("-vv", "apply", "recovery.plan", "-y")
    assert told.rows() == rows
    told.ok("status")


def test_the_search_finds_a_planted_secret(told: World) -> None:
    """The net has no hole: the same search fails for a file that does hold the password."""
    planted = told.folder / "planted"
    planted.write_bytes(b"x" * 1000 + base64.b64encode(b"y" + PASSWORD.encode() + b"zz"))
    try:
        with pytest.raises(AssertionError):
            searched(told)
    finally:
        planted.unlink()
