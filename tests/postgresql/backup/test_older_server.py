"""A server without incrementals of its own, logged in to with a password, which shows nowhere."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from aegis_plan.actions.backup import ACTION as BACKUP
from aegis_plan.errors import AegisError
from aegis_plan.repositories import records
from aegis_plan.stores.postgresql.connection import connect
from aegis_plan.stores.postgresql.look import look
from aegis_plan.stores.postgresql.settings import configuration, details
from tests.postgresql.restore.rig import World, world
from tests.servers.postgresql import PASSWORD, cluster


def test_an_incremental_without_a_parent_is_a_full_that_says_why() -> None:
    with cluster(15) as server, tempfile.TemporaryDirectory() as folder:
        here = World(Path(folder), server)  # type: ignore[arg-type] # asks no more of it than `sql`
        here.lineage = here.lineage.replace("-18", "-15")
        site: Any = _site(here, server.dsn(), f"password={PASSWORD}")
        assert look(site, "db", "a").details["version"] // 10000 == 15
        outputs = BACKUP.act(site).outputs
        record = records.shelf("aegis", "db", {"here": here.public}, here.repositories, cache=None).records[0]
        assert (record.id, outputs["method"]) == (outputs["record"], "full")
        assert "parent's record cannot be read" in record.details["why_full"]  # type: ignore[union-attr]
        assert any(stored.name == "pages.000" for stored in record.objects)  # type: ignore[union-attr]
        assert PASSWORD not in repr((site.said, site.findings, site.kept, outputs, record))
        stored = [path for path in Path(folder).rglob("*") if path.is_file()]
        assert stored
        assert not [path for path in stored if PASSWORD.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("host=127.0.0.1 port=1 user=x password=c4n4ry", "server-unreachable"),
        ("postgresql://x:c4n4ry@[", "connection-malformed"),
        ("passwort=c4n4ry", "connection-malformed"),
    ],
)
def test_a_failed_login_tells_no_secret(text: str, code: str) -> None:
    with pytest.raises(AegisError) as caught:
        connect(text, "db/a")
    error = caught.value
    assert error.code == code
    assert "c4n4ry" not in repr(error.as_data()) + repr(error.__cause__)


def _site(here: World, dsn: str, secret: str) -> Any:
    params = {"store": "db", "member": "a", "lineage": here.lineage, "method": "incremental", "parent": "p"}
    documents = here_documents(here, dsn)
    plain, here.declared = here.declared, lambda: documents  # type: ignore[method-assign]
    site = here.site("backup", params)
    here.declared = plain  # type: ignore[method-assign]
    site.secrets.text = lambda value: f"{value} {secret}"  # type: ignore[method-assign]
    return site


def here_documents(here: World, dsn: str) -> Any:
    from aegis_plan.documents.model import Documents

    return Documents.model_validate(
        {
            "system": {"name": "aegis"},
            "stores": {
                "db": {
                    "engine": "postgresql",
                    "members": {"a": {"site": "here", "connection": dsn}},
                    "backup": {"repositories": ["one", "two"]},
                }
            },
            "sealing": {"recovery_recipient": here.recipient, "signers": {"here": here.public}},
        }
    )


def test_a_role_that_may_only_replicate_tells_what_a_set_needs() -> None:
    with world("max_slot_wal_keep_size=1GB\n") as here:
        here.cluster.sql("create role plain login replication")
        text = here.cluster.dsn.replace("user=aegis", "user=plain").replace("dbname=postgres", "")
        missed: list[str] = []
        with connect(text, "db/a") as sql:
            found = details(sql, text, "db/a")
            configuration(sql, "db/a", (), lambda path, why: missed.append(path))
        assert found["version"] >= 150000
        assert found["settings"]["max_connections"]
        assert found["settings"]["shared_preload_libraries"] is None
        assert missed == ["config_file"]
