"""A server of our own over staged data, on loopback and behind a password that only this attempt knows.

It has the member's programs and none of its data; it never opens a folder that serves.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aegis_plan.actions.contract import Child, Context
from aegis_plan.errors import AegisError
from aegis_plan.stores.neo4j import admin, control
from aegis_plan.stores.neo4j.connection import ask, connected
from aegis_plan.stores.neo4j.model import Server
from aegis_plan.stores.neo4j.place import Layout, own, settings

if TYPE_CHECKING:
    from neo4j import Driver

SECONDS = 300.0
WHERE = "the private server"
# A server that outlived us would be waited for as work that still goes on.
_TIED = (
    'owner=$1; shift; "$@" & p=$!; trap \'kill "$p"\' TERM; while [ -d "/proc/$owner" ] && kill -0 "$p" 2>/dev/null;'
    ' do sleep 0.5; done; kill "$p" 2>/dev/null; wait "$p"'
)
_KEPT = ("server.jvm.additional", "db.format", "server.directories.lib")


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configure(server: Server, where: Layout, ids: tuple[int, int] | None, database: str, port: int = 0) -> Path:
    """Writes the configuration that leads every program to the staged data; gives its folder."""
    folder = where.staging / "conf"
    own(folder, ids)
    for name in ("logs", "run", "import", "plugins"):
        own(where.staging / name, ids)
    said = settings(server)
    lines = [f"{name}={value}" for name, value in said.items() if name in _KEPT]
    told = {
        "server.directories.data": where.staged,
        "server.directories.transaction.logs.root": where.staged_transactions,
        "server.directories.logs": where.staging / "logs",
        "server.directories.run": where.staging / "run",
        "server.directories.import": where.staging / "import",
        "server.directories.plugins": where.staging / "plugins",
        "initial.dbms.default_database": database,
        "server.default_listen_address": "127.0.0.1",
        "server.bolt.listen_address": f"127.0.0.1:{port}",
        "server.http.enabled": "false",
        "server.https.enabled": "false",
        "dbms.usage_report.enabled": "false",
        "server.memory.heap.initial_size": "256m",
        "server.memory.heap.max_size": said.get("server.memory.heap.max_size", "1g"),
        "server.memory.pagecache.size": said.get("server.memory.pagecache.size", "512m"),
        # Nobody but us is there: a stop has nobody to wait for.
        "db.shutdown_transaction_end_timeout": "0s",
        "internal.server.bolt.thread_pool_shutdown_wait_time": "0s",
        "server.bolt.thread_pool_min_size": "2",
    }
    path = folder / "neo4j.conf"
    path.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in told.items())]) + "\n")
    if ids:
        os.chown(path, *ids)
    return folder


@contextmanager
def private_server(
    context: Context, server: Server, where: Layout, ids: tuple[int, int] | None, database: str
) -> Iterator[Driver]:
    """Runs it for the block and ends it cleanly. Raises AegisError `private-server-failed`."""
    port, first, password = _port(), secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    folder, address = configure(server, where, ids, database, port), f"bolt://127.0.0.1:{port}"
    log = where.staging / "logs" / "aegis.log"
    admin.run(context, server, "dbms", "set-initial-password", first, configuration=folder)
    told = {**os.environ, **control.environment(server), "NEO4J_CONF": str(folder)}
    command = ["/bin/sh", "-c", _TIED, "sh", str(os.getpid()), control.program(server), "console"]
    child = context.children().start(command, user=server.run_as, env=told, log=log)
    try:
        _wait(context, child, address, first, database, log)
        # The first one stood in a command line for a moment, where every account of the host could read it.
        with connected(address, "neo4j", first, WHERE) as driver:
            change = "ALTER CURRENT USER SET PASSWORD FROM $first TO $second"
            ask(driver, "system", change, WHERE, first=first, second=password)
        with connected(address, "neo4j", password, WHERE) as driver:
            yield driver
    finally:
        code = child.end(SECONDS)
    if code not in (0, 143, -15):
        raise _failed(log, f"it ended with {code}")


def _wait(context: Context, child: Child, address: str, password: str, database: str, log: Path) -> None:
    until = context.clock.monotonic() + SECONDS
    while True:
        context.check()
        context.progress("start a private server", unit="")
        try:
            with connected(address, "neo4j", password, WHERE, 5.0) as driver:
                ask(driver, database, "RETURN 1", WHERE)
                return
        except AegisError:
            if child.poll() is not None or context.clock.monotonic() > until:
                raise _failed(log, "it did not come up") from None
            context.clock.sleep(0.1)


def _failed(log: Path, why: str) -> AegisError:
    try:
        last = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
    except OSError:
        last = []
    return AegisError(
        "private-server-failed",
        "the server on which restored data is loaded does not do what it should",
        f"{why}; {' '.join(last)[:300] or log}",
        "see that the member's `home` has the programs of a server and Java",
    )
