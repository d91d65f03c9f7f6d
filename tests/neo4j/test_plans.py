"""How Neo4j stores are planned: what a backup and a restore are made of, and what is refused before anything."""

from __future__ import annotations

from typing import Any

from aegis_plan.catalog.holding import Shelf
from aegis_plan.documents.model import Documents, Store
from aegis_plan.observe.snapshot import MemberLook, Snapshot, StoreLook
from aegis_plan.plan.backup import plan_backup
from aegis_plan.plan.plan import Intent, Plan
from aegis_plan.plan.recover import plan_recovery
from aegis_plan.stores.specs import spec
from tests.plan.world import documents, shelf, snapshot

LINEAGE = "0f" * 16
GRAPH: dict[str, Any] = {
    "engine": "neo4j",
    "members": {
        "seoul-1": {"site": "seoul", "connection": "bolt://127.0.0.1:7687", "server": {"home": "/var/lib/neo4j"}}
    },
    "backup": {"repositories": ["here", "there"], "full": {"schedule": "0 3 * * *"}},
}


def both() -> Documents:
    """A PostgreSQL store and this one, under one service."""
    plain = documents().model_dump(mode="json")
    plain["stores"] |= {"graph": GRAPH}
    plain["services"]["auth"]["uses"] = ["policy-db", "graph"]
    plain["scenarios"]["db-lost"]["affects"]["stores"] = ["policy-db", "graph"]
    return Documents.model_validate(plain)


def declared(**server: Any) -> Documents:
    plain = documents().model_dump(mode="json")
    member = GRAPH["members"]["seoul-1"]
    plain["stores"] = {"graph": {**GRAPH, "members": {"seoul-1": {**member, "server": {**member["server"], **server}}}}}
    plain["services"]["auth"]["uses"] = ["graph"]
    plain["scenarios"] = {}
    return Documents.model_validate(plain)


def seen(state: Any = "primary") -> Snapshot:
    lineage = LINEAGE if state == "primary" else None
    look = StoreLook(
        store="graph",
        members=(MemberLook(member="seoul-1", site="seoul", state=state, lineage=lineage, reason="it said so"),),
        shelf=Shelf(store="graph"),
    )
    return Snapshot(taken_at=snapshot(shelf()).taken_at, stores={"graph": look})


def backup(state: Any = "primary", **server: Any) -> Plan:
    return plan_backup(declared(**server), seen(state), "d", "t", Intent(kind="backup", stores=("graph",)))


def codes(plan: Plan) -> list[str]:
    return [finding.code for finding in plan.findings if finding.severity == "error"]


def test_an_export_touches_nothing_that_serves() -> None:
    plan = backup()
    assert [(step.id, step.destructive, step.built) for step in plan.steps] == [("graph.backup", False, True)]
    assert plan.steps[0].params["lineage"] == LINEAGE
    assert not plan.blocked


def test_a_dump_says_that_it_stops_the_server() -> None:
    (step,) = backup(backup_by="dump").steps
    assert step.destructive
    assert "stop the server" in step.title
    assert "start it again" in step.title


def test_a_server_that_does_not_answer_is_no_backup() -> None:
    plan = backup("unreachable")
    assert plan.steps == ()
    assert codes(plan) == ["member-unreachable"]


def recovery(selection: tuple[str, ...] = (), beside: str = "", **changes: Any) -> Plan:
    made = declared(**changes)
    intent = Intent(kind="recover", stores=("graph",), selection=selection, beside=beside)
    return plan_recovery(made, seen(), intent, "d", "t")


def test_a_restore_is_proved_before_the_server_stops() -> None:
    plan = recovery()
    assert [step.action for step in plan.steps if step.subject == "graph"] == [
        "stage", "load", "stop-server", "swap", "start-server", "accept", "backup",
    ]  # fmt: skip
    again = next(step for step in plan.steps if step.action == "backup")
    assert again.params["lineage"] == {"output": "graph.accept.lineage"}
    assert codes(plan) == ["no-set-fits"]
    assert next(step for step in plan.steps if step.id == "auth.start").needs == ("graph.accept",)


def test_beside_no_server_is_touched() -> None:
    plan = recovery(beside="/var/tmp/graph")
    assert [(step.action, step.lease) for step in plan.steps] == [("stage", ""), ("load", "")]


def test_a_part_cannot_be_restored_alone_and_that_is_said() -> None:
    plan = recovery(selection=("label/Person",))
    assert not [step for step in plan.steps if step.subject == "graph"]
    assert codes(plan) == ["selection-impossible"]


def test_without_a_place_nothing_is_put_in_place() -> None:
    plain = declared().model_dump(mode="json")
    plain["stores"]["graph"]["members"]["seoul-1"]["server"] = {}
    intent = Intent(kind="recover", stores=("graph",))
    plan = plan_recovery(Documents.model_validate(plain), seen(), intent, "d", "t")
    assert codes(plan) == ["server-not-declared"]


def problems(store: dict[str, Any], **server: Any) -> list[str]:
    member = store["members"]["seoul-1"]
    changed = {**store, "members": {"seoul-1": {**member, "server": {**member["server"], **server}}}}
    found = spec("neo4j").check("x", Store.model_validate(changed))
    return [".".join(map(str, path)) for path, _, hint in found if hint]


def test_its_fields_are_checked() -> None:
    assert problems(GRAPH) == []
    assert problems(GRAPH, home="neo4j") == ["members.seoul-1.server.home"]
    assert problems(GRAPH, hom="/x") == ["members.seoul-1.server.hom"]
    assert problems(GRAPH, password="hidden") == ["members.seoul-1.server.password"]
    assert problems(GRAPH, databases=("system",)) == ["members.seoul-1.server.databases"]
    assert problems(GRAPH, control="by hand") == ["members.seoul-1.server.control"]
    logged = {**GRAPH, "backup": {**GRAPH["backup"], "log": {"schedule": "* * * * *"}}}
    assert problems(logged) == ["backup.log"]
