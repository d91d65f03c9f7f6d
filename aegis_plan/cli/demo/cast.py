"""Who plays in the demo: its servers, started beside each other. What this machine cannot start is left out, with the
reason; PostgreSQL alone is always there."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from aegis_plan.cli.demo import graph, object_stores, vectors, writer
from aegis_plan.cli.demo.artifacts import MissingError
from aegis_plan.cli.demo.graph import Graph
from aegis_plan.cli.demo.object_stores import ObjectStore
from aegis_plan.cli.demo.server import Server, prepare
from aegis_plan.cli.demo.vectors import Vectors


@dataclass
class Cast:
    """The demo's servers while they run."""

    postgresql: Server | None = None
    neo4j: Graph | None = None
    milvus: Vectors | None = None
    s3: ObjectStore | None = None
    azure: ObjectStore | None = None
    missing: dict[str, str] = field(default_factory=dict)
    """What is left out, and why."""

    def start(self, folder: Path, *, quick: bool) -> None:
        """Starts all that can be had. Raises AegisError where one does not do what it should."""
        starts: dict[str, Callable[[Path], Any]] = {"milvus": _milvus}
        if not quick:
            starts |= {"neo4j": self._neo4j, "s3": object_stores.s3, "azure": object_stores.azure}
        home = folder / "servers"
        home.mkdir()
        self.postgresql = prepare(folder)
        with ThreadPoolExecutor(len(starts)) as pool:
            begun: dict[str, Future[Any]] = {name: pool.submit(begin, home / name) for name, begin in starts.items()}
            self.postgresql.create()
            self.postgresql.start()
            writer.create(self.postgresql.connection)
            for name, future in begun.items():
                try:
                    setattr(self, name, future.result())
                except MissingError as error:
                    self.missing[name] = str(error)

    def stop(self) -> None:
        """Stops what runs, all at once."""
        ends: list[Callable[[], object]] = []
        if self.postgresql is not None:
            ends.append(self.postgresql.stop)
        if self.neo4j is not None:
            ends.append(self.neo4j.stop)
        for store in (self.s3, self.azure):
            if store is not None:
                # SeaweedFS waits half a minute for connections that nobody has; all is on the disk by then.
                ends.append(partial(store.server.stop, patience=2.0))
        with ThreadPoolExecutor(max(1, len(ends))) as pool:
            for done in [pool.submit(end) for end in ends]:
                done.result()

    def _neo4j(self, folder: Path) -> Graph:
        found = graph.prepare(folder)
        self.neo4j = found  # so that it is stopped however far it comes
        found.start()
        found.fill()
        return found


def _milvus(folder: Path) -> Vectors:
    found = vectors.prepare(folder / "milvus.db")
    found.fill()
    return found
