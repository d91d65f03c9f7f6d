"""PostgreSQL, Neo4j and Milvus are lost with everything of their machine: documents, site, repository on its disk. All
three come back in a new folder, as another user, from an address, credentials and the recovery key."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from aegis_plan.cli.demo.graph import Graph
from aegis_plan.cli.demo.neo4j_server import Neo4jServer
from aegis_plan.cli.demo.vectors import COLLECTION, prepare
from tests.bare import stranger
from tests.bare import test_by_hand as by_hand
from tests.bare.rig import Bare, machine
from tests.servers import neo4j
from tests.servers.azurite import ACCOUNT, CONTAINER, AzureServer, azurite
from tests.servers.bucket import BUCKET, S3Server
from tests.servers.postgresql import free_port
from tests.servers.versitygw import versitygw
from tests.thread.world import World, world

__all__ = ["azurite", "versitygw"]


@dataclass
class Lost:
    """What is left: a repository of each kind, and what was in the stores."""

    made: World
    graph: Graph
    vectors: Path
    rows: list[tuple[Any, ...]]
    s3: str
    azure: str

    @property
    def disk(self) -> Path:
        """The local repository on a disk that somebody took out in time; only the runbook is tried with it."""
        return self.made.server.folder.parent / "disk"


def _documents(made: World, graph: Neo4jServer, vectors: Path, s3: S3Server, azure: AzureServer, prefix: str) -> str:
    text = (made.plans / "aegis.yaml").read_text()
    first = next(line for line in text.splitlines() if line.startswith("  seoul: {kind: local"))
    away = f"""\
{first}
  bucket: {{kind: s3, bucket: {BUCKET}, prefix: {prefix}, region: us-east-1, endpoint: "{s3.endpoint}",
           access_key: "${{env:B_KEY}}", secret_key: "${{env:B_SECRET}}"}}
  blobs: {{kind: azure, container: {CONTAINER}, prefix: {prefix}, connection: "${{env:B_AZURE}}"}}"""
    more = f"""\
  policy-graph:
    engine: neo4j
    members:
      seoul-graph:
        site: seoul
        connection: "{graph.connection}"
        server: {{home: "{graph.home}", password: "${{env:GRAPH_PASSWORD}}"}}
    backup: {{repositories: [seoul, bucket, blobs], full: {{retain: 7 days}}}}
  policy-vectors:
    engine: milvus
    members:
      seoul-vectors:
        {{site: seoul, connection: "{vectors}", server: {{mode: lite, collections: [{COLLECTION}]}}}}
    backup: {{repositories: [seoul, bucket, blobs], full: {{retain: 7 days}}}}
repositories:
"""
    text = text.replace(first, away).replace("repositories:\n", more, 1)
    text = text.replace("repositories: [seoul]", "repositories: [seoul, bucket, blobs]")
    text = text.replace("{authority: seoul}", "{authority: bucket, mirrors: [blobs]}")
    # The site is lost, and the machine that stands in for it is not.
    return text.replace(
        "disruption: store, affects: {stores: [policy-db]}", "disruption: site, affects: {sites: [seoul]}"
    )


@pytest.fixture(scope="module")
def lost(versitygw: S3Server, azurite: AzureServer) -> Iterator[Lost]:
    prefix = uuid.uuid4().hex[:8]
    with world(("seoul",)) as made:
        servers = made.server.folder.parent
        libraries = stranger.reachable(neo4j.lib(), servers / "neo4j-lib")
        graph = Graph(neo4j.create(servers / "graph"))
        vectors = prepare(servers / "vectors" / "milvus.db")
        text = _documents(made, graph.server, vectors.path, versitygw, azurite, prefix)
        (made.plans / "aegis.yaml").write_text(text)
        made.environment |= {
            "B_KEY": versitygw.access, "B_SECRET": versitygw.secret, "B_AZURE": azurite.connection,
            "GRAPH_PASSWORD": graph.server.password,
        }  # fmt: skip
        try:
            graph.start()
            graph.fill()
            vectors.fill()
            made.ok("apply", "-y")
            made.ok("publish", "--wheels", "none", "-y")
            made.insert(300, "later")
            made.ok("backup", "policy-db", "--log", "-y")
            rows = made.rows()
            made.destroy()
            graph.destroy()
        finally:
            graph.stop()
        vectors.destroy()
        made.repository("seoul").rename(servers / "disk")
        keys = made.folder / "site" / "keys" / "recovery.age"
        stick = made.folder.parent / "recovery.age"
        shutil.copy(keys, stick)
        shutil.rmtree(made.folder)
        shutil.rmtree(graph.home)
        # The stick is what `machine` looks for, and all that is left of the folder.
        keys.parent.mkdir(parents=True)
        stick.rename(keys)
        yield Lost(
            made,
            Graph(replace(graph.server, home=graph.home)),
            vectors.path,
            rows,
            f"s3://{BUCKET}/{prefix}?endpoint={versitygw.endpoint}&region=us-east-1",
            f"azure://{ACCOUNT}/{CONTAINER}/{prefix}",
        )
        del libraries


@pytest.fixture(scope="module")
def programs(lost: Lost) -> Iterator[str]:
    """The other user's Python."""
    folder = Path(tempfile.mkdtemp(prefix="aegis-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        yield stranger.python(folder, lost.made.server.user)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def bare(lost: Lost, programs: str, versitygw: S3Server, azurite: AzureServer) -> Iterator[Bare]:
    made = machine(lost.made, f"bare {uuid.uuid4().hex[:6]}")
    made.user, made.python = lost.made.server.user, programs
    made.environment |= {
        "SOURCE": lost.s3, "POLICY_DB": lost.made.dsn(), "GRAPH_PASSWORD": lost.graph.server.password,
        "AWS_ACCESS_KEY_ID": versitygw.access, "AWS_SECRET_ACCESS_KEY": versitygw.secret,
        "AZURE_STORAGE_CONNECTION_STRING": azurite.connection,
    }  # fmt: skip
    made.own()
    yield made
    shutil.rmtree(made.folder)


def _install(lost: Lost, bare: Bare) -> None:
    """What a person puts on an empty machine before: programs of the servers, and folders of the user."""
    lost.graph.server.create(lost.made.server.folder.parent / "neo4j-lib")
    lost.vectors.parent.mkdir(exist_ok=True)
    bare.own(lost.graph.home, lost.vectors.parent, lost.made.server.folder)


def test_all_three_come_back_from_the_bucket(lost: Lost, bare: Bare) -> None:
    _install(lost, bare)
    source = ("--from", lost.s3, "--key", "stick/key.age")
    planned = bare.ok("plan", *source, "--scenario", "database-failure", "--out", "a.plan")
    assert "Not reached: repository seoul" in planned.err
    for store in ("policy-db", "policy-graph", "policy-vectors"):
        assert f"{store}.accept" in planned.text
    assert "recovery-unprotected" in planned.text
    assert "aegis keys new seoul --signing" in planned.text
    try:
        ran = bare.ok("apply", "a.plan", "-y", *source)
        assert "Applied, with findings: " in ran.text, ran.text
        assert "Nobody backs policy-db up" in ran.text
        assert lost.made.rows() == lost.rows
        assert lost.graph.differences() == (6000, 0)
        _protected_again(bare)
    finally:
        lost.graph.stop()
        lost.made.server.kill()
    bare.own(lost.vectors.parent)
    assert prepare(lost.vectors).differences() == (2000, 0)


def _protected_again(bare: Bare) -> None:
    """With a signing key of its own the machine backs up, and the next one that has nothing believes it."""
    here = ("-C", "recovery-aegis")
    bare.ok(*here, "keys", "new", "seoul", "--signing")
    bare.ok(*here, "publish", "--wheels", "none", "-y")
    bare.ok(*here, "backup", "policy-db", "-y")
    shown = bare.ok("show", "--from", bare.environment["SOURCE"], "--key", "stick/key.age", "--into", "another")
    assert "revision 2" in shown.err
    assert "former_signers" in shown.out


def test_from_azure_beside(lost: Lost, bare: Bare) -> None:
    source = ("--from", lost.azure, "--key", "stick/key.age")
    words = ("restore", "policy-vectors", "--beside", str(bare.folder / "vectors.db"), "-y", *source)
    refused = bare.aegis(*words)
    assert refused.code == 1, refused.text
    assert "--break-glass" in refused.text, "the credentials of the authority are not known here"
    bare.ok(*words, "--break-glass", "the bucket is gone")
    assert prepare(bare.folder / "vectors.db").differences() == (2000, 0)


@pytest.mark.sweep(only=True)
def test_graph_and_vectors_by_the_runbook_alone(lost: Lost, tmp_path: Path) -> None:
    """With the runbook's own commands, servers that are empty, and a Python that does not know the product."""
    environment = by_hand.stranger(tmp_path, clients=True)
    shutil.copy(lost.made.folder / "site" / "keys" / "recovery.age", tmp_path / "key.age")
    (tmp_path / "repository").symlink_to(lost.disk)
    (start,) = lost.disk.rglob("START-HERE.md")
    by_hand.run("set -e\n" + "\n".join(by_hand.commands(start.read_text())), tmp_path, environment)
    runbook = (tmp_path / "documents" / "runbook.md").read_text()
    vectors = by_hand.section(runbook, "policy-vectors")
    script = "set -e\n" + "\n".join(by_hand.commands(vectors))
    by_hand.run(script, tmp_path, {**environment, "PORT": str(free_port())})
    assert prepare(tmp_path / "data-policy-vectors.db").differences() == (2000, 0)
    graph = by_hand.section(runbook, "policy-graph")
    with neo4j.run(tmp_path / "graph") as server:
        environment |= {"ADDRESS": server.connection, "SECRET": server.password}
        by_hand.run("set -e\n" + "\n".join(by_hand.commands(graph)), tmp_path, environment)
        assert Graph(server).differences() == (6000, 0)
        made = neo4j.query(server, "SHOW INDEXES YIELD name, type RETURN name ORDER BY name")
        assert ["policy_number"] in made
        assert ["policy_since"] in made
