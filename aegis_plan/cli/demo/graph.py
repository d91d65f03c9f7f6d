"""The demo's Neo4j: a Community server of its own, with a graph whose every node can be told from its number.

Started and stopped by a script of the demo, as the documents' `control` does too; it touches only its folder.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aegis_plan.cli.demo import artifacts, background

NODES = 2_000
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_CONTROL = """\
#!/bin/sh
# Starts, stops and queries the demo's Neo4j: exit code 0 is running, 3 is not.
home=HOME
pid=$(cat "$home/server.pid" 2>/dev/null)
running() { [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null; }
case "$1" in
  start)
    running && exit 0
    cd "$home" || exit 1
    JAVA >>"$home/server.log" 2>&1 </dev/null &
    echo $! >"$home/server.pid" ;;
  stop)
    running || exit 0
    kill "$pid"
    while running; do sleep 0.1; done ;;
  status) running || exit 3 ;;
esac
"""
_CONFIGURATION = """\
server.default_listen_address=127.0.0.1
server.bolt.listen_address=127.0.0.1:{bolt}
server.http.listen_address=127.0.0.1:{http}
dbms.usage_report.enabled=false
server.memory.heap.initial_size=256m
server.memory.heap.max_size=256m
server.memory.pagecache.size=64m
db.tx_log.preallocate=false
"""
_OPENED = ("java.base/java.nio", "java.base/java.io", "java.base/sun.nio.ch")


@dataclass(frozen=True)
class Graph:
    """One server with its folder."""

    home: Path
    port: int
    password: str

    @property
    def connection(self) -> str:
        return f"bolt://127.0.0.1:{self.port}"

    @property
    def control(self) -> Path:
        return self.home / "control"

    def start(self) -> None:
        """Starts it and waits until it answers. Raises AegisError `demo-server-failed`."""
        self._control("start")
        until = time.monotonic() + background.PATIENCE
        while not self._answers():
            if time.monotonic() > until or self._control("status") == 3:
                said = (self.home / "server.log").read_text(errors="replace")[-1500:].strip()
                raise background.failed("Neo4j", said or "it does not answer", self.home / "logs" / "neo4j.log")
            time.sleep(0.2)

    def stop(self) -> None:
        self._control("stop")

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
        pid = int((self.home / "server.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 20
        while self._control("status") == 0 and time.monotonic() < until:
            time.sleep(0.05)
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

    def _control(self, word: str) -> int:
        return subprocess.run([str(self.control), word], stdin=subprocess.DEVNULL, check=False).returncode

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

        return GraphDatabase.driver(self.connection, auth=("neo4j", self.password))


def prepare(folder: Path) -> Graph:
    """Makes the server's folder, without starting it. Raises MissingError where Java or Maven is missing."""
    jars = artifacts.neo4j()
    home = folder.absolute()
    (home / "conf").mkdir(parents=True)
    (home / "bin").mkdir()
    bolt, http = background.free_ports(2)
    (home / "conf" / "neo4j.conf").write_text(_CONFIGURATION.format(bolt=bolt, http=http))
    opened = [f"--add-opens={name}=ALL-UNNAMED" for name in _OPENED]
    java = [
        "java", "-Xms256m", "-Xmx256m", *opened, "-cp", f"{jars}/*", "org.neo4j.server.CommunityEntryPoint",
        f"--home-dir={home}", f"--config-dir={home / 'conf'}",
    ]  # fmt: skip
    graph = Graph(home, bolt, secrets.token_hex(12))
    _program(graph.control, _CONTROL.replace("HOME", shlex.quote(str(home))).replace("JAVA", shlex.join(java)))
    admin = ["java", *opened, "-cp", f"{jars}/*", "org.neo4j.cli.AdminTool"]
    _program(
        home / "bin" / "neo4j-admin",
        f"#!/bin/sh\nNEO4J_HOME={shlex.quote(str(home))} NEO4J_CONF={shlex.quote(str(home / 'conf'))} "
        f'exec {shlex.join(admin)} "$@"\n',
    )
    done = subprocess.run(
        [str(home / "bin" / "neo4j-admin"), "dbms", "set-initial-password", graph.password],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise background.failed("neo4j-admin", (done.stderr or done.stdout).strip()[-500:], home / "server.log")
    return graph


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _policy(number: int) -> dict[str, Any]:
    return {"number": number, "name": f"policy {number:05}", "since": _EPOCH + timedelta(hours=number)}


def _rests_on() -> list[dict[str, Any]]:
    """Two relationships a node, and some that lead back to where they begin."""
    rows = [{"from": n, "to": n * 7919 % NODES, "weight": n % 10 / 10} for n in range(NODES)]
    return rows + [{"from": n, "to": (n + 1) % NODES, "weight": 1.0} for n in range(NODES)]
