"""A restore brings back the rows: the newest, those of a moment, those after a switch of timelines, and those that
only the dead server's own log still had."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from rig import World, world

from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql import accept, replay, server, stage, swap, tail
from aegis_plan.stores.postgresql.model import (
    AcceptParams,
    Place,
    ReplayParams,
    ServerParams,
    StageParams,
    SwapParams,
    TailParams,
)

ROWS = "select count(*), md5(string_agg(t::text, ',' order by i)) from t"


def fill(w: World) -> list[Any]:
    """A full, two incrementals and log, with a moment and its rows in each stretch."""
    sql, moments = w.cluster.sql, []

    def moment() -> None:
        time.sleep(0.02)
        moments.append((w.cluster.now(), sql(ROWS)))
        time.sleep(0.02)

    sql(
        "create table t(i int primary key, v text);"
        " insert into t select g, repeat('x', 200) from generate_series(1, 9000) g"
    )
    full = w.backup()
    sql("update t set v = 'a' where i % 50 = 0")
    moment()
    first = w.backup(full)
    sql("delete from t where i > 8000")
    sql("vacuum t")
    sql("insert into t select g, 'b' from generate_series(8500, 8600) g")
    moment()
    w.backup(first)
    sql("update t set v = 'c' where i % 70 = 0")
    moment()
    sql("insert into t values (100000, 'last')")
    w.log()
    moments.append((None, sql(ROWS)))
    return moments


def staging(w: World, sets: int | None = None, **more: Any) -> StageParams:
    chosen = w.sets[:sets]
    return StageParams(
        store="db", lineage=w.lineage, place=Place(**{**w.place(), **more.pop("place", {})}),
        sets={record.id: w.digests[record.id] for record in chosen},
        log={record.id: w.digests[record.id] for record in w.logs}, **{"timeline": 1, **more},
    )  # fmt: skip


def recover(w: World, params: StageParams) -> dict[str, Any]:
    """The whole recipe in place."""
    w.act(stage.ACTION, "stage", params)
    replaying = ReplayParams(
        store="db", lineage=w.lineage, place=params.place, timeline=params.timeline, stage="stage",
        target_time=params.target_time, target_lsn=params.target_lsn,
    )  # fmt: skip
    outputs = w.act(replay.ACTION, "replay", replaying)
    w.act(server.STOP, "stop", ServerParams(store="db", member="a"))
    w.act(swap.ACTION, "swap", SwapParams(store="db", place=params.place, replay="replay"))
    w.act(server.START, "start", ServerParams(store="db", member="a"))
    w.act(accept.ACTION, "accept", AcceptParams(store="db", member="a", place=params.place, replay="replay"))
    return outputs


def again(w: World, number: int) -> None:
    """Another run of its own."""
    w.run, w.outputs, w.marks = f"20261123T00000{number}Z-abcdef", {}, {}


def test_every_moment_and_the_newest_come_back() -> None:
    with world() as w:
        moments = fill(w)
        w.cluster.kill()
        # The chain's first set reaches every moment, each later set only those behind it.
        for number, (when, rows) in enumerate(moments):
            again(w, number)
            outputs = recover(w, staging(w, sets=min(number + 1, 3), target_time=when))
            assert w.cluster.sql(ROWS) == rows
            assert outputs["timeline"] == 2
            assert outputs["databases"] == 2
            w.cluster.stop()


def test_a_time_after_the_last_commit_is_reached_by_a_log_that_covers_it() -> None:
    with world() as w:
        w.cluster.sql("create table t(i int primary key, v text); insert into t values (1, 'a')")
        w.backup()
        w.cluster.sql("insert into t values (2, 'b')")
        idle = w.cluster.now()
        time.sleep(0.02)
        w.log()
        rows = w.cluster.sql(ROWS)
        late = w.cluster.now()
        w.cluster.kill()
        recover(w, staging(w, target_time=idle))
        assert w.cluster.sql(ROWS) == rows
        w.cluster.stop()
        again(w, 1)
        with pytest.raises(AegisError) as caught:
            recover(w, staging(w, target_time=late))
        assert caught.value.code == "target-after-log"


def test_moments_on_both_sides_of_a_new_timeline() -> None:
    with world() as w:
        w.cluster.sql("create table t(i int primary key, v text); insert into t values (1, 'a')")
        w.backup()
        w.cluster.sql("insert into t values (2, 'b')")
        time.sleep(0.02)
        before, rows_before = w.cluster.now(), w.cluster.sql(ROWS)
        time.sleep(0.02)
        w.cluster.sql("insert into t values (3, 'lost on the old timeline')")
        w.log()
        w.cluster.kill()
        recover(w, staging(w, target_time=before))
        assert w.cluster.sql(ROWS) == rows_before
        w.cluster.sql("insert into t values (4, 'on the new timeline')")
        rows_after = w.cluster.sql(ROWS)
        switch = int((w.cluster.data / "pg_wal/00000002.history").read_text().split()[1].split("/")[1], 16)
        w.history(2)
        w.log(timeline=2, begin=switch)
        w.cluster.kill()
        again(w, 1)
        outputs = recover(w, staging(w, timeline=2))
        assert w.cluster.sql(ROWS) == rows_after
        assert outputs["timeline"] == 3


def test_no_acknowledged_commit_is_lost_while_the_old_log_can_be_read() -> None:
    with world() as w:
        w.cluster.sql("create table t(i int primary key, v text)")
        w.backup()
        w.log()
        for number in range(30):
            w.cluster.sql(f"insert into t values ({number}, 'acknowledged')")
        rows = w.cluster.sql(ROWS)
        w.cluster.kill()
        end = w.logs[-1].end if w.logs else w.sets[-1].end
        found = w.act(tail.ACTION, "tail", TailParams(store="db", member="a", lineage=w.lineage, begin=end))
        assert len(found["records"]) == 1
        assert found["last_commit"] is not None
        outputs = recover(w, staging(w, tail="tail"))
        assert w.cluster.sql(ROWS) == rows
        assert outputs["last_commit"] == found["last_commit"]


def test_a_failed_start_after_the_swap_brings_the_old_server_back(tmp_path: Path) -> None:
    with world() as w:
        w.cluster.sql("create table t(i int primary key, v text); insert into t values (1, 'a')")
        w.backup()
        w.log()
        w.cluster.sql("insert into t values (2, 'only on the old data')")
        rows, params = w.cluster.sql(ROWS), staging(w)
        swapping = SwapParams(store="db", place=params.place, replay="replay")
        asking = ServerParams(store="db", member="a")
        w.act(stage.ACTION, "stage", params)
        w.act(
            replay.ACTION,
            "replay",
            ReplayParams(store="db", lineage=w.lineage, place=params.place, timeline=1, stage="stage"),
        )
        w.act(server.STOP, "stop", asking)
        w.act(swap.ACTION, "swap", swapping)
        with (w.cluster.data / "postgresql.conf").open("a") as conf:
            conf.write("no_such_setting = 1\n")
        with pytest.raises(AegisError) as caught:
            w.act(server.START, "start", asking)
        assert caught.value.code == "server-start-failed"
        server.START.undo(w.site("start", asking.model_dump()))
        swap.ACTION.undo(w.site("swap", swapping.model_dump()))
        server.STOP.undo(w.site("stop", asking.model_dump()))
        assert w.cluster.sql(ROWS) == rows
        assert [path.name for path in w.cluster.base.glob("main.aegis-*") if "failed" in path.name]
