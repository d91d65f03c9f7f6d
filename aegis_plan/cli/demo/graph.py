"""The demo's Neo4j: a Community server of its own, with a graph whose every node can be told from its number.

It touches only its folder and its process.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aegis_plan.cli.demo import artifacts, background
from aegis_plan.cli.demo.neo4j_server import Neo4jServer

NODES = 2_000
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Graph:
    """One server with its graph."""

    server: Neo4jServer

    @property
    def home(self) -> Path:
        return self.server.home

    def start(self) -> None:
        """Starts it and waits until it answers. Raises AegisError `demo-server-failed`."""
        self.server.start()
        until = time.monotonic() + background.PATIENCE
        while not self._answers():
            if time.monotonic() > until:
                log = self.home / "logs" / "neo4j.log"
                raise background.failed("Neo4j", "it does not answer", log)
            time.sleep(0.2)

    def stop(self) -> None:
        self.server.stop()

    def fill(self) -> None:
        """Makes the graph: who may do what, and what it rests on."""
        with self._driver() as driver, driver.session(database="neo4j") as session:
            session.run("CREATE CONSTRAINT policy_number FOR (p:Policy) REQUIRE p.number IS UNIQUE").consume()
            session.run("CREATE INDEX policy_since FOR (p:Policy) ON (p.since)").consume()
            session.run(
                "UNWIND $rows AS row CREATE (p:Policy {number: row.number, name: row.name, since: row.since})",
                rows=[_policy(number) for number in range(NODES)],
            ).consume()
            session.run(
                "UNWIND $rows AS row MATCH (a:Policy {number: row.from}), (b:Policy {number: row.to}) "
                "CREATE (a)-[:RESTS_ON {weight: row.weight}]->(b)",
                rows=_rests_on(),
            ).consume()

    def destroy(self) -> int:
        """Kills the server without warning and deletes its data. Returns how many bytes are gone."""
        os.kill(self.server.pid, signal.SIGKILL)
        self.server.stop()
        data = self.home / "data"
        size = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
        shutil.rmtree(data)
        return size

    def differences(self) -> tuple[int, int]:
        """How many nodes and relationships were compared, and how many are not as they were made."""
        with self._driver() as driver, driver.session(database="neo4j") as session:
            nodes = {
                row["number"]: dict(row)
                for row in session.run("MATCH (p:Policy) RETURN p.number AS number, p.name AS name, p.since AS since")
            }
            links = sorted(
                (row["from"], row["to"], row["weight"])
                for row in session.run(
                    "MATCH (a)-[r:RESTS_ON]->(b) RETURN a.number AS from, b.number AS to, r.weight AS weight"
                )
            )
            everything = session.run("MATCH (n) RETURN count(n) AS nodes").single(strict=True)["nodes"]
        wrong = abs(everything - NODES)
        for number in range(NODES):
            found, made = nodes.get(number), _policy(number)
            if found is None or found["name"] != made["name"] or found["since"].to_native() != made["since"]:
                wrong += 1
        expected = sorted((row["from"], row["to"], row["weight"]) for row in _rests_on())
        wrong += sum(1 for one in expected if one not in set(links)) + abs(len(links) - len(expected))
        return everything + len(links), wrong

    def _answers(self) -> bool:
        from neo4j.exceptions import DriverError, Neo4jError

        try:
            with self._driver() as driver:
                driver.verify_connectivity()
        except (DriverError, Neo4jError):
            return False
        return True

    def _driver(self) -> Any:
        from neo4j import GraphDatabase

        return GraphDatabase.driver(self.server.connection, auth=("neo4j", self.server.password))


def prepare(folder: Path) -> Graph:
    """Makes the server's folder, without starting it. Raises MissingError where Java or Maven is missing."""
    jars = artifacts.neo4j()
    (port,) = background.free_ports(1)
    server = Neo4jServer(folder.absolute(), port, secrets.token_hex(12))
    server.create(jars)
    return Graph(server)


def _policy(number: int) -> dict[str, Any]:
    return {"number": number, "name": f"policy {number:05}", "since": _EPOCH + timedelta(hours=number)}


def _rests_on() -> list[dict[str, Any]]:
    """Two relationships a node, and some that lead back to where they begin."""
    rows = [{"from": n, "to": n * 7919 % NODES, "weight": n % 10 / 10} for n in range(NODES)]
    return rows + [{"from": n, "to": (n + 1) % NODES, "weight": 1.0} for n in range(NODES)]
