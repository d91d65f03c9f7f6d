"""Neo4j Community servers, from the Maven artifacts that the demo uses."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neo4j import GraphDatabase
from neo4j.exceptions import DriverError, Neo4jError

from aegis_plan.cli.demo.neo4j_server import Neo4jServer, libraries, missing
from aegis_plan.errors import AegisError
from tests.servers import ports, unavailable

PASSWORD = "secret-of-the-tests"


def lib() -> Path:
    """The libraries; skips with the reason where they cannot be had."""
    if lacks := missing():
        unavailable(f"Neo4j: {lacks}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aegis-tests"
    try:
        return libraries(cache)
    except AegisError as error:
        unavailable(f"Neo4j: {error.detail}")


def query(server: Neo4jServer, text: str, **values: Any) -> list[list[Any]]:
    with (
        GraphDatabase.driver(
            server.connection, auth=("neo4j", server.password), notifications_min_severity="OFF"
        ) as driver,
        driver.session(database="neo4j") as session,
    ):
        return [list(record.values()) for record in session.run(text, values)]


def wait(server: Neo4jServer, seconds: float = 120.0) -> None:
    """Returns once it answers."""
    until = time.monotonic() + seconds
    while True:
        try:
            query(server, "RETURN 1")
            return
        except (DriverError, Neo4jError, OSError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def create(home: Path) -> Neo4jServer:
    """A server that was never started."""
    (port,) = ports.free()
    server = Neo4jServer(home, port, PASSWORD)
    server.create(lib())
    return server


@contextmanager
def run(home: Path) -> Iterator[Neo4jServer]:
    """A server for the length of the block."""
    server = create(home)
    server.start()
    try:
        wait(server)
        yield server
    finally:
        server.stop()
