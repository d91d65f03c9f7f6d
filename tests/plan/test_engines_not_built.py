"""Stores whose engine is planned for and not built: seen in full, never applied, never taken for protected."""

from __future__ import annotations

from typing import Any

from aegis_plan.catalog.holding import Shelf
from aegis_plan.cli.posture import posture_of
from aegis_plan.documents.model import Documents, Store
from aegis_plan.observe.snapshot import Snapshot, StoreLook
from aegis_plan.plan.backup import plan_backup
from aegis_plan.plan.plan import Intent
from aegis_plan.plan.planfile import read, write
from aegis_plan.plan.protect import plan_protection
from aegis_plan.plan.recover import plan_recovery
from aegis_plan.report.plan import summary
from aegis_plan.stores.specs import spec
from tests.plan.world import documents, shelf, snapshot

GRAPH: dict[str, Any] = {
    "engine": "neo4j",
    "members": {
        "seoul-1": {"site": "seoul", "connection": "bolt://127.0.0.1:7687", "server": {"home": "/var/lib/neo4j"}}
    },
    "backup": {"repositories": ["here", "there"], "full": {"schedule": "0 3 * * *"}},
}
VECTORS: dict[str, Any] = {
    "engine": "milvus",
    "members": {"seoul-1": {"site": "seoul", "connection": "http://127.0.0.1:19530"}},
    "backup": {"repositories": ["here"], "full": {"schedule": "0 4 * * *"}},
}


def both() -> Documents:
    plain = documents().model_dump(mode="json")
    plain["stores"] |= {"graph": GRAPH}
    plain["services"]["auth"]["uses"] = ["policy-db", "graph"]
    plain["scenarios"]["db-lost"]["affects"]["stores"] = ["policy-db", "graph"]
    return Documents.model_validate(plain)


def seen() -> Snapshot:
    return snapshot(shelf())


def test_protection_goes_on_for_the_others_and_says_what_it_leaves_out() -> None:
    plan = plan_protection(both(), seen(), "d", "t")
    assert not plan.blocked
    assert {step.subject for step in plan.steps} == {"policy-db"}
    left = {finding.subject: finding for finding in plan.findings if finding.code == "store-not-protected"}
    assert set(left) == {"graph"}
    assert {finding.severity for finding in left.values()} == {"warning"}
    assert "export graph" in left["graph"].detail


def test_a_backup_by_hand_is_refused_and_shown() -> None:
    plan = plan_backup(both(), seen(), "d", "t", Intent(kind="backup", stores=("graph",)))
    assert [step.id for step in plan.steps] == ["graph.backup", "graph.verify"]
    assert [finding.code for finding in plan.findings if finding.severity == "error"] == ["step-not-built"]


def test_a_dump_stops_the_server_and_starts_it_again() -> None:
    declared = both().model_dump(mode="json")
    declared["stores"]["graph"]["members"]["seoul-1"]["server"]["backup_by"] = "dump"
    plan = plan_backup(Documents.model_validate(declared), seen(), "d", "t", Intent(kind="backup", stores=("graph",)))
    assert [step.action for step in plan.steps] == ["stop-server", "backup", "start-server", "verify"]


def test_a_recovery_shows_every_step_and_cannot_be_applied() -> None:
    plan = plan_recovery(both(), seen(), Intent(kind="recover", scenario="db-lost"), "d", "t")
    graph = [step for step in plan.steps if step.subject == "graph"]
    assert [step.action for step in graph][:5] == ["stage", "stop-server", "load", "start-server", "compare"]
    assert not any(step.built for step in graph)
    told = next(finding for finding in plan.findings if finding.code == "step-not-built")
    assert "graph.stage" in told.detail
    assert plan.blocked
    start = next(step for step in plan.steps if step.id == "auth.start")
    assert "graph.compare" in start.needs


def test_what_was_not_built_stays_so_in_the_plan_file_and_old_files_can_be_read() -> None:
    plan = plan_backup(both(), seen(), "d", "t", Intent(kind="backup", stores=("graph",)))
    again, _ = read(write(plan))
    assert not any(step.built for step in again.steps)
    plain = again.steps[0].model_dump(mode="json")
    del plain["built"]
    assert type(again.steps[0]).model_validate(plain).built


def problems(declared: dict[str, Any], **server: Any) -> list[str]:
    member = declared["members"]["seoul-1"]
    changed = {**declared, "members": {"seoul-1": {**member, "server": {**member.get("server", {}), **server}}}}
    store = Store.model_validate(changed)
    return [".".join(map(str, path)) for path, _, hint in spec(store.engine).check("x", store) if hint]


def test_their_fields_are_checked() -> None:
    assert problems(GRAPH) == []
    assert problems(VECTORS) == []
    assert problems(GRAPH, home="neo4j") == ["members.seoul-1.server.home"]
    assert problems(GRAPH, hom="/x") == ["members.seoul-1.server.hom"]
    assert problems(GRAPH, password="hidden") == ["members.seoul-1.server.password"]
    assert problems(GRAPH, databases=("system",)) == ["members.seoul-1.server.databases"]
    assert problems(GRAPH, control="by hand") == ["members.seoul-1.server.control"]
    assert problems(VECTORS, token="root:Milvus") == ["members.seoul-1.server.token"]
    assert problems(VECTORS, mode="lite") == ["members.seoul-1.connection"]
    assert problems(VECTORS, collections=("1st",)) == ["members.seoul-1.server.collections"]
    logged = {**GRAPH, "backup": {**GRAPH["backup"], "log": {"schedule": "* * * * *"}}}
    assert problems(logged) == ["backup.log"]


def test_a_store_that_nothing_can_back_up_never_looks_protected() -> None:
    plain = both().model_dump(mode="json")
    plain["stores"] = {"graph": GRAPH}
    plain["services"]["auth"]["uses"] = ["graph"]
    plain["scenarios"] = {}
    made = Documents.model_validate(plain)
    looked = plan_protection(made, Snapshot(taken_at=seen().taken_at), "d", "t")
    assert looked.steps == ()
    assert "graph is NOT protected" in summary(looked)
    world = Snapshot(
        taken_at=seen().taken_at, stores={"graph": StoreLook(store="graph", members=(), shelf=Shelf(store="graph"))}
    )
    posture = posture_of(made, world, looked)
    assert [store.state for store in posture.stores] == ["unprotected"]
    assert "this version cannot back this store up" in posture.stores[0].reasons
    assert posture.breached
