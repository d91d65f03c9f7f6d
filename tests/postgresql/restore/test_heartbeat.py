"""A declared heartbeat tells a time only where it is one: else it is left out with a warning, never a wrong time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from rig import Site, World, world
from test_restore import staging

from aegis_plan.documents.model import Documents
from aegis_plan.stores.postgresql import replay, stage
from aegis_plan.stores.postgresql.model import ReplayParams


def told(w: World, number: int, query: str, database: str = "") -> tuple[str | None, str | None, Site]:
    """The heartbeat and the last commit that a restore beside tells."""
    w.run, w.outputs, w.marks = f"20261123T0000{number:02d}Z-abcdef", {}, {}
    data = World.declared(w).model_dump(mode="json")
    data["stores"]["db"]["heartbeat"] = {"query": query, "database": database}
    found = Documents.model_validate(data)
    w.declared = lambda: found  # type: ignore[method-assign]
    beside = str(w.cluster.base / f"beside{number}")
    params = staging(w, place={"member": None, "beside": beside, "data_directory": beside})
    w.act(stage.ACTION, "stage", params)
    asking = ReplayParams(store="db", lineage=w.lineage, place=params.place, timeline=1, stage="stage")
    site = w.site("replay", asking.model_dump(mode="json"))
    outputs = replay.ACTION.act(site).outputs
    return outputs["heartbeat"], outputs["last_commit"], site


def test_a_heartbeat_is_believed_only_where_it_can_be_one() -> None:
    with world() as w:
        w.cluster.sql(
            "create table beat(at timestamptz, local timestamp, day date, epoch int,"
            " ahead timestamptz, late timestamptz);"
            " create table empty(at timestamptz); create table t(i int primary key, v text);"
            " insert into beat values (now(), now(), now(), 1, now() + '1 hour', 'infinity')"
        )
        w.backup()
        w.cluster.sql("update beat set at = now()")
        ((at,),) = w.cluster.sql("select at from beat")
        w.cluster.sql("insert into t values (1, 'a')")
        w.log()
        heartbeat, last, site = told(w, 0, "select max(at) from beat")
        assert heartbeat is not None
        assert last is not None
        assert abs((datetime.fromisoformat(heartbeat) - at.astimezone(UTC)).total_seconds()) < 0.001
        assert datetime.fromisoformat(heartbeat) < datetime.fromisoformat(last)
        assert not site.findings
        cases = {
            "select local from beat": ("heartbeat-no-proof", "without a time zone"),
            "select day from beat": ("heartbeat-no-proof", "a date"),
            "select epoch from beat": ("heartbeat-no-proof", "a int"),
            "select at from empty": ("heartbeat-no-proof", "no row"),
            "select max(at) from empty": ("heartbeat-no-proof", "a null"),
            "select ahead from beat": ("heartbeat-no-proof", "later than the newest commit"),
            "select late from beat": ("heartbeat-unreadable", "SQLSTATE"),
            "select at from missing": ("heartbeat-unreadable", "42P01"),
            "update beat set at = now() returning at": ("heartbeat-unreadable", "25006"),
        }
        for number, (query, (code, said)) in enumerate(cases.items(), 1):
            heartbeat, last, site = told(w, number, query)
            assert heartbeat is None, query
            assert last is not None
            assert [(note.severity, note.code) for note in site.findings] == [("warning", code)], query
            assert said in site.findings[0].detail, query


@pytest.mark.parametrize("database", ["gone"])
def test_a_heartbeat_in_a_database_that_is_not_there(database: str) -> None:
    with world() as w:
        w.cluster.sql("create table t(i int primary key, v text)")
        w.backup()
        w.log()
        heartbeat, _, site = told(w, 0, "select now()", database)
        assert heartbeat is None
        assert [note.code for note in site.findings] == ["heartbeat-unreadable"]
