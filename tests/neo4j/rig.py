"""One Neo4j store with a repository and keys, and what a site's runner would hand to its actions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neo4j import GraphDatabase

from aegis_plan.actions.backup import Backup
from aegis_plan.actions.contract import SiteKeys
from aegis_plan.catalog.record import SetRecord
from aegis_plan.cli.demo.neo4j_server import Neo4jServer
from aegis_plan.dispatch.contract import Attempt, Earlier, Mark
from aegis_plan.documents.model import Documents
from aegis_plan.repositories.local import LocalRepository
from aegis_plan.sealing.keys import new_identity, new_signing_key
from aegis_plan.site.process import SiteChildren
from aegis_plan.stores.archive import shelf_of
from aegis_plan.stores.fetcher import Fetcher, archives
from aegis_plan.stores.neo4j.load import bring_in, compare, read_all
from aegis_plan.stores.neo4j.model import Manifest
from tests.postgresql.restore.rig import Site
from tests.servers.neo4j import PASSWORD, query


class Neo4jSite(Site):
    """A site whose programs are started as a real one starts them."""

    def children(self) -> Any:
        return SiteChildren(lambda: self.stopping)


@dataclass
class World:
    """The store `graph` of one member, `a`."""

    base: Path
    server: Neo4jServer
    fields: dict[str, Any] = field(default_factory=dict)
    """More of the member's server section."""
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    marks: dict[str, list[Mark]] = field(default_factory=dict)
    count: int = 0
    run: str = "20261123T000000Z-abcdef"

    def __post_init__(self) -> None:
        self.secret, self.recipient = new_identity()
        self.private, self.public = new_signing_key()
        (self.base / "repository").mkdir(parents=True)
        (self.base / "site").mkdir()
        self.repository = LocalRepository("here", self.base / "repository")

    def declared(self, **fields: Any) -> Documents:
        server = {"home": str(self.server.home), "password": PASSWORD, "quiet": "1s", **self.fields, **fields}
        member = {"site": "here", "connection": self.server.connection, "server": server}
        return Documents.model_validate({
            "system": {"name": "aegis"},
            "stores": {"graph": {"engine": "neo4j", "members": {"a": member}, "backup": {"repositories": ["here"]}}},
            "sites": {"here": {"role": "primary", "reach": "local"}},
            "repositories": {"here": {"kind": "local", "site": "here", "path": str(self.base / "repository")}},
            "sealing": {"recovery_recipient": self.recipient, "signers": {"here": self.public}},
        })  # fmt: skip

    def site(self, step: str, verb: Any = "act", **params: Any) -> Neo4jSite:
        self.count += 1
        now = datetime.now(UTC)
        attempt = Attempt(
            run=self.run, step=step, verb=verb, number=self.count, epoch=1, site="here", resource="graph/data",
            action=step, params={"store": "graph", "member": "a", **params}, declared={}, outputs=self.outputs,
            earlier=Earlier(), start_by=now, timeout=600,
        )  # fmt: skip
        return Neo4jSite(
            attempt, self.declared(), self.base / "site", {"here": self.repository},
            SiteKeys(self.private, (self.secret,)), self.marks.setdefault(step, []),
        )  # fmt: skip

    def lineage(self) -> str:
        return str(query(self.server, "CALL db.info() YIELD id")[0][0]).lower()[:32]

    def backup(self) -> tuple[SetRecord, Neo4jSite]:
        """One more backup by the product's own step."""
        return self.backup_of(self.lineage())

    def backup_of(self, lineage: str) -> tuple[SetRecord, Neo4jSite]:
        self.run = f"20261123T{self.count:06d}Z-abcdef"
        self.marks.clear()
        site = self.site("backup", lineage=lineage, method="full")
        done = Backup().act(site)
        (record,) = [one for one in shelf_of(site, "graph").records if one.id == done.outputs["record"]]
        assert isinstance(record, SetRecord)
        return record, site

    def fetch(self, record: SetRecord, folder: Path) -> Manifest:
        """The archives of a set, opened into a folder."""
        from aegis_plan.sealing.signatures import digest

        site = self.site("stage")
        fetcher = Fetcher(site, "graph", record.lineage)
        assert fetcher.record(record.id, digest(record)) == record
        folder.mkdir(parents=True, exist_ok=True)
        for name, stored in archives(record).items():
            if name != "index":
                chunks = fetcher.objects(stored, record.key, meta=name == "manifest")
                with (folder / name).open("wb") as stream:
                    stream.writelines(chunks)
        return Manifest.model_validate_json((folder / "manifest").read_bytes())

    def restore(self, record: SetRecord, target: Neo4jServer, folder: Path) -> list[str]:
        """Loads a set into another running server, with the product's own loading and comparing."""
        manifest = self.fetch(record, folder)
        site = self.site("load")
        with GraphDatabase.driver(
            target.connection, auth=("neo4j", PASSWORD), notifications_min_severity="OFF"
        ) as driver:
            (one,) = manifest.databases
            left = bring_in(site, driver, "target", folder, 0, one)
            compare(driver, "target", one, read_all(site, driver, "target", one.name), left)
        return left


def empty(server: Neo4jServer) -> None:
    """Removes all data and schema."""
    query(server, "MATCH (n) DETACH DELETE n")
    for row in query(server, "SHOW CONSTRAINTS YIELD name"):
        query(server, f"DROP CONSTRAINT {_quoted(row[0])}")
    for row in query(server, "SHOW INDEXES YIELD name"):
        query(server, f"DROP INDEX {_quoted(row[0])}")
    query(server, "CREATE LOOKUP INDEX index_343aff4e FOR (n) ON EACH labels(n)")
    query(server, "CREATE LOOKUP INDEX index_f7700477 FOR ()-[r]-() ON EACH type(r)")


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


_VALUES = (
    "[k IN keys(x) | [k, valueType(x[k]), CASE WHEN valueType(x[k]) STARTS WITH 'LIST'"
    " THEN [v IN x[k] | toString(v)] ELSE toString(x[k]) END]]"
)


def everything(server: Neo4jServer) -> dict[str, Any]:
    """All data and schema in words of Cypher, by each node's own key `k`, without any code of the product."""
    nodes = {row[0]: (sorted(row[1]), sorted(row[2])) for row in query(
        server, f"MATCH (x) RETURN x.k, labels(x), {_VALUES}")}  # fmt: skip
    relationships = sorted(
        str((row[0], row[1], row[2], sorted(row[3])))
        for row in query(server, f"MATCH (a)-[x]->(b) RETURN a.k, b.k, type(x), {_VALUES}")
    )
    indexes = sorted(map(str, query(
        server, "SHOW INDEXES YIELD name, type, entityType, labelsOrTypes, properties, owningConstraint, options,"
        " state RETURN name, type, entityType, labelsOrTypes, properties, owningConstraint, options.indexConfig,"
        " state")))  # fmt: skip
    constraints = sorted(map(str, query(
        server, "SHOW CONSTRAINTS YIELD name, type, entityType, labelsOrTypes, properties, ownedIndex")))  # fmt: skip
    return {"nodes": nodes, "relationships": relationships, "indexes": indexes, "constraints": constraints}
