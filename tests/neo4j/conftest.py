"""Real servers: one that is backed up, and one that takes what comes back; without --sweep both are the same, emptied
in between."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aegis_plan.cli.demo.neo4j_server import Neo4jServer
from tests.neo4j.rig import World, empty
from tests.servers import neo4j


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory, sweep: bool) -> Iterator[tuple[Neo4jServer, Neo4jServer]]:
    base = tmp_path_factory.mktemp("neo4j")
    made = [neo4j.create(base / name) for name in ("source", "target")[: 2 if sweep else 1]]
    try:
        for server in made:
            server.start()
        for server in made:
            neo4j.wait(server)
        yield made[0], made[-1]
    finally:
        for server in made:
            server.stop()


@pytest.fixture
def world(servers: tuple[Neo4jServer, Neo4jServer], tmp_path_factory: pytest.TempPathFactory) -> World:
    empty(servers[0])
    return World(tmp_path_factory.mktemp("world"), servers[0])
