"""Stores that are backed up whole, beside one with a log: what their fields say, and steps that are not built."""

from __future__ import annotations

from typing import Any

from aegis_plan.documents.model import Documents, Store
from aegis_plan.observe.snapshot import StoreLook
from aegis_plan.plan.backup import plan_backup
from aegis_plan.plan.plan import Intent
from aegis_plan.plan.planfile import read, write
from aegis_plan.stores import whole
from aegis_plan.stores.contract import Ask, Target
from aegis_plan.stores.specs import spec
from tests.plan.world import a_set, at, documents, shelf, snapshot

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


def three() -> Documents:
    plain = documents().model_dump(mode="json")
    plain["stores"] |= {"graph": GRAPH, "vectors": VECTORS}
    plain["services"]["auth"]["uses"] = ["policy-db", "graph", "vectors"]
    plain["scenarios"]["db-lost"]["affects"]["stores"] = ["policy-db", "graph", "vectors"]
    return Documents.model_validate(plain)


def test_what_is_not_built_stays_so_in_the_plan_file_and_old_files_can_be_read() -> None:
    plan = plan_backup(three(), snapshot(shelf()), "d", "t", Intent(kind="backup", stores=("policy-db",)))
    unbuilt = plan.model_copy(update={"steps": tuple(s.model_copy(update={"built": False}) for s in plan.steps)})
    again, _ = read(write(unbuilt))
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
    assert problems(GRAPH, control="by hand") == ["members.seoul-1.server.control"]
    assert problems(VECTORS, token="root:Milvus") == ["members.seoul-1.server.token"]
    assert problems(VECTORS, mode="lite") == ["members.seoul-1.connection"]
    assert problems(VECTORS, collections=("1st",)) == ["members.seoul-1.server.collections"]
    logged = {**GRAPH, "backup": {**GRAPH["backup"], "log": {"schedule": "* * * * *"}}}
    assert problems(logged) == ["backup.log"]


def test_a_set_from_the_future_is_neither_the_newest_nor_in_time() -> None:
    """A clock was ten years ahead when it was made; what was made since is newer."""
    made, now = three(), at(24 * 60)
    for others, due, seconds in ((0, "a clock was ahead", None), (1, "", 600.0)):
        records = [a_set("F", 10 * 365 * 24 * 60, 1, 2), *(a_set("B", 24 * 60 - 10, 3, 4) for _ in range(others))]
        look = StoreLook(store="graph", shelf=shelf(*records), members=())
        ask = Ask(documents=made, name="graph", store=made.stores["graph"], look=look, now=now, tier=0)
        assert due in whole.full_due(ask)
        assert bool(whole.full_due(ask)) is bool(due)
        assert whole.exposure(ask).seconds == seconds
        point, _ = whole.point_for(ask, Target())
        assert point is not None
        assert point.sets[0].set == ("B" if others else "F")
