"""A swap that is killed at any of its marks goes on or is taken back, and tablespaces go with it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from rig import World, user, world
from test_restore import ROWS, recover, staging

from aegis_plan.dispatch.contract import Mark
from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql import place as places
from aegis_plan.stores.postgresql import replay, stage, swap
from aegis_plan.stores.postgresql.model import ReplayParams, StageParams, SwapParams


def prepared(w: World, params: StageParams) -> SwapParams:
    w.act(stage.ACTION, "stage", params)
    asking = ReplayParams(store="db", lineage=w.lineage, place=params.place, timeline=1, stage="stage")
    w.act(replay.ACTION, "replay", asking)
    return SwapParams(store="db", place=params.place, replay="replay")


def killed(w: World, verb: str, params: dict[str, Any], kept: Path, at: int, after: bool) -> bool:
    """Does it in another process that dies at its mark number `at`; True when it lived to the end."""
    pid = os.fork()
    if pid == 0:
        try:
            site = w.site("swap", params)
            site.kept = [Mark.model_validate_json(line) for line in kept.read_text().splitlines()]
            begun = len(site.kept)

            def mark(name: str, **data: Any) -> None:
                if len(site.kept) - begun == at and not after:
                    os.kill(os.getpid(), 9)
                site.kept.append(Mark(name=name, data=data, at=site.clock.now()))
                with kept.open("a") as stream:
                    stream.write(site.kept[-1].model_dump_json() + "\n")
                if len(site.kept) - begun - 1 == at:
                    os.kill(os.getpid(), 9)

            site.mark = mark  # type: ignore[method-assign]
            getattr(swap.ACTION, verb)(site)
        except BaseException as error:  # noqa: BLE001 - a forked test must not go on as a second pytest
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert status in (0, 9)
    return status == 0


def test_killed_at_every_mark_it_goes_on_or_back(tmp_path: Path) -> None:
    with world() as w:
        place = w.base / "space"
        place.mkdir()
        if name := user():
            shutil.chown(place, name)
        w.cluster.sql(f"create tablespace s location '{place}'")
        w.cluster.sql("create table t(i int primary key, v text) tablespace s; insert into t values (1, 'restored')")
        w.backup()
        w.log()
        w.cluster.sql("insert into t values (2, 'old')")
        params = prepared(w, staging(w))
        w.cluster.stop()
        where, kept, run = places.layout(params.place), w.base / "marks", w.run
        old, data = where.final, params.model_dump(mode="json")

        def state() -> dict[str, str]:
            """Which data is where: told by the restored data's note."""
            return {
                folder.name: "new" if places.read_note(folder) else "old"
                for folder in [*old.parent.glob("main*"), *place.parent.glob("space*")]
                if folder.is_dir() and not folder.name.endswith(".wal")
            }

        before = state()
        assert before == {"main": "old", "main.aegis-new": "new", "space": "old", "space.aegis-new": "new"}
        swapped = {"main": "new", f"main.aegis-old-{run}": "old", "space": "new", f"space.aegis-old-{run}": "old"}

        def again() -> None:
            for folder in (old, place):
                failed = Path(f"{folder}.aegis-failed-{run}")
                if failed.exists():
                    failed.rename(f"{folder}.aegis-new")
            (where.staging / "pg_tblspc" / link).unlink()
            (where.staging / "pg_tblspc" / link).symlink_to(f"{place}.aegis-new")
            kept.write_text("")
            assert state() == before

        link = next((where.staging / "pg_tblspc").iterdir()).name
        kept.write_text("")
        number, kills = 0, 0
        while True:
            for after in (False, True):
                lived = killed(w, "act", data, kept, number, after)
                kills += not lived
                goes_on = (number + after) % 2 == 0
                if goes_on or lived:
                    assert killed(w, "act", data, kept, 999, False)
                    assert state() == swapped
                    assert os.readlink(old / "pg_tblspc" / link) == str(place)
                for half in range(5):
                    killed(w, "undo", data, kept, half % 2, half % 3 == 0)
                assert killed(w, "undo", data, kept, 999, False)
                # What never came in is still staged, what came in is aside as failed; the old data serves.
                found = {name.replace(f"failed-{run}", "new"): kind for name, kind in state().items()}
                assert found == before
                assert os.readlink(old / "pg_tblspc" / link) == str(place)
                again()
            if lived:
                break
            number += 1
        assert kills >= 18
        w.cluster.start()
        assert len(w.cluster.sql("select * from t")) == 2


def test_a_tablespace_comes_back_in_its_place_and_a_foreign_one_is_refused() -> None:
    with world() as w:
        place, other = w.base / "space", w.base / "other"
        for folder in (place, other):
            folder.mkdir()
            if name := user():
                shutil.chown(folder, name)
        w.cluster.sql(f"create tablespace s location '{place}'")
        w.cluster.sql("create table t(i int primary key, v text) tablespace s; insert into t values (1, 'a')")
        full = w.backup()
        w.cluster.sql("insert into t select g, 'b' from generate_series(2, 500) g")
        w.cluster.sql(f"create tablespace later location '{other}'")
        w.cluster.sql("create table u tablespace later as select g from generate_series(1, 1000) g")
        w.backup(full)
        w.log()
        rows = w.cluster.sql(ROWS)
        w.cluster.kill()
        recover(w, staging(w))
        assert w.cluster.sql(ROWS) == rows
        assert w.cluster.sql("select count(*) from u") == [(1000,)]
        assert (
            str(place) in w.cluster.sql("select pg_tablespace_location(oid) from pg_tablespace where spcname = 's'")[0]
        )
        # With the data directory gone nothing says any more whose data the tablespace's folder holds.
        w.cluster.stop()
        shutil.move(w.cluster.data, w.base / "lost")
        w.run, w.outputs, w.marks = "20261123T000001Z-abcdef", {}, {}
        with pytest.raises(AegisError) as caught:
            w.act(stage.ACTION, "stage", staging(w))
        assert caught.value.code == "tablespace-occupied"
        assert any(place.iterdir())


def test_a_restore_beside_never_touches_the_server() -> None:
    with world() as w:
        place = w.base / "space"
        place.mkdir()
        if name := user():
            shutil.chown(place, name)
        w.cluster.sql(f"create tablespace s location '{place}'")
        w.cluster.sql("create table t(i int primary key, v text) tablespace s; insert into t values (1, 'a')")
        w.backup()
        w.log()
        rows = w.cluster.sql(ROWS)
        beside = w.cluster.base / "beside"
        params = staging(w, place={"member": None, "beside": str(beside), "data_directory": str(beside)})
        w.act(stage.ACTION, "stage", params)
        asking = ReplayParams(store="db", lineage=w.lineage, place=params.place, timeline=1, stage="stage")
        w.act(replay.ACTION, "replay", asking)
        assert (beside / "PG_VERSION").exists()
        assert w.cluster.sql(ROWS) == rows
        w.cluster.stop()
        with (beside / "postgresql.conf").open("a") as conf:
            conf.write(f"port = {w.cluster.port}\n")
        shutil.move(w.cluster.data, w.base / "aside")
        shutil.move(place, w.base / "aside-space")
        beside.rename(w.cluster.data)
        w.cluster.start()
        assert w.cluster.sql(ROWS) == rows
