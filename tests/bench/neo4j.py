"""Export and import of Neo4j beside neo4j-admin and plain Cypher: `python -m tests.bench.neo4j [NODES]`, twice as many
relationships. Each part is a process of its own, so that its memory is its own. It prints and never judges."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from neo4j import GraphDatabase

from aegis_plan.cli.demo.neo4j_server import Neo4jServer
from tests.neo4j.rig import World
from tests.servers import neo4j
from tests.servers.neo4j import PASSWORD, query

BATCH = 20_000


def fill(server: Neo4jServer, nodes: int) -> None:
    """Three properties a node, one of them a moment, and one a relationship."""
    for begin in range(0, nodes, BATCH):
        query(server, "UNWIND range($begin, $end) AS i CREATE (:Person {k: i, name: 'person ' + i,"
              " at: datetime({epochSeconds: 1700000000 + i, nanosecond: i, timezone: 'Asia/Seoul'})})",
              begin=begin, end=min(nodes, begin + BATCH) - 1)  # fmt: skip
    for begin in range(0, 2 * nodes, BATCH):
        query(server, "UNWIND range($begin, $end) AS i MATCH (a) WHERE id(a) = i % $nodes"
              " MATCH (b) WHERE id(b) = (i * 7919) % $nodes CREATE (a)-[:KNOWS {since: i}]->(b)",
              begin=begin, end=min(2 * nodes, begin + BATCH) - 1, nodes=nodes)  # fmt: skip


def report(name: str, begun: float, more: str = "") -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:36} {time.monotonic() - begun:8.1f} s   peak {peak:6.0f} MiB  {more}", flush=True)


def export(base: Path, server: Neo4jServer, target: Neo4jServer) -> None:
    """The product's export into a sealed set, and its import from that, each told when it is over."""
    world = World(base / "world", server)
    begun = time.monotonic()
    record, _ = world.backup()
    size = sum(stored.sealed_size for stored in record.objects) >> 20
    report("export, sealed, to one repository", begun, f"{record.consistency}, {size} MiB")
    begun = time.monotonic()
    world.restore(record, target, base / "fetched")
    report("import, with schema and comparison", begun)


def plain(base: Path, server: Neo4jServer, target: Neo4jServer) -> None:
    """What a few lines with the driver do: values as they come, nothing written."""
    begun, count = time.monotonic(), 0
    with GraphDatabase.driver(server.connection, auth=("neo4j", PASSWORD)) as driver, driver.session() as session:
        for text in ("MATCH (n) RETURN labels(n), properties(n)", "MATCH (a)-[r]->(b) RETURN type(r), properties(r)"):
            for _ in session.run(text):
                count += 1
    report("plain Cypher, read and thrown away", begun, f"{count} rows")


def admin(server: Neo4jServer, folder: Path, *words: str) -> None:
    begun = time.monotonic()
    server.run("neo4j-admin", "database", *words)
    size = sum(path.stat().st_size for path in folder.glob("*.dump")) >> 20
    print(f"{'neo4j-admin ' + words[0]:36} {time.monotonic() - begun:8.1f} s   {size} MiB, server stopped", flush=True)


PARTS: dict[str, Callable[[Path, Neo4jServer, Neo4jServer], None]] = {"export": export, "plain": plain}


def main(nodes: int) -> None:
    # A server that runs for long, and not one that is up soon.
    os.environ["AEGIS_DEMO_JAVA"] = "-XX:+UseParallelGC"
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as folder:
        base = Path(folder)
        with neo4j.run(base / "source") as source, neo4j.run(base / "target") as target:
            begun = time.monotonic()
            fill(source, nodes)
            print(f"{nodes} nodes, {2 * nodes} relationships made in {time.monotonic() - begun:.0f} s", flush=True)
            for part in PARTS:
                words = [part, folder, str(source.port), str(target.port)]
                subprocess.run([sys.executable, "-m", "tests.bench.neo4j", *words], check=True)
        (base / "dumps").mkdir()
        admin(source, base / "dumps", "dump", "neo4j", f"--to-path={base / 'dumps'}")
        admin(target, base / "dumps", "load", "neo4j", f"--from-path={base / 'dumps'}", "--overwrite-destination=true")


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in PARTS:
        place = Path(sys.argv[2])
        servers = (
            Neo4jServer(place / name, int(port), PASSWORD)
            for name, port in zip(("source", "target"), sys.argv[3:], strict=True)
        )
        PARTS[sys.argv[1]](place, *servers)
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
