"""Old data that makes room for the restored: proved before, gone or moved only as planned, whatever is killed where."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rig import World, user, world
from test_restore import ROWS, again, fill, recover, staging

from aegis_plan.dispatch.contract import Mark
from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql import accept, clear, move_away, prove, replay, server, stage, swap
from aegis_plan.stores.postgresql.model import (
    AcceptParams,
    ClearParams,
    ProveParams,
    ReplayParams,
    ServerParams,
    StageParams,
    SwapParams,
)

MIB = 2**20


@contextmanager
def another_disk() -> Iterator[Path]:
    """A folder on another file system than the servers' own."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="aegis-t-", dir="/dev/shm"))
    except OSError:
        pytest.skip("there is no second file system")
    try:
        if folder.stat().st_dev == Path("/tmp").stat().st_dev:
            pytest.skip("there is no second file system")
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def proving(w: World, params: StageParams, keep: str = "no", **more: Any) -> ProveParams:
    owner = w.lineage.rpartition("-")[0]
    return ProveParams(**{**dict(params), "member": "a", "owner": owner, "keep": keep, **more})


def clearing(w: World, params: StageParams, keep: str = "no", **more: Any) -> ClearParams:
    owner = w.lineage.rpartition("-")[0]
    return ClearParams(
        **{
            "store": "db", "member": "a", "place": params.place, "lineage": w.lineage, "owner": owner, "keep": keep,
            "need_bytes": MIB, **more,
        }
    )  # fmt: skip


def put_in(w: World, params: StageParams, cleared: str) -> None:
    """What follows once the old data is gone."""
    w.act(stage.ACTION, "stage", params)
    asking = ReplayParams(store="db", lineage=w.lineage, place=params.place, timeline=params.timeline, stage="stage")
    w.act(replay.ACTION, "replay", asking)
    w.act(swap.ACTION, "swap", SwapParams(store="db", place=params.place, replay="replay", cleared=cleared))
    w.act(server.START, "start", ServerParams(store="db", member="a"))
    w.act(accept.ACTION, "accept", AcceptParams(store="db", member="a", place=params.place, replay="replay"))


def spread(w: World) -> tuple[Path, Path]:
    """A cluster over three places: a tablespace and the log lie elsewhere."""
    space, log = w.base / "space", w.base / "log-disk"
    space.mkdir()
    if name := user():
        shutil.chown(space, name)
    w.cluster.stop()
    shutil.move(w.cluster.data / "pg_wal", log)
    (w.cluster.data / "pg_wal").symlink_to(log)
    w.cluster.start()
    w.cluster.sql(f"create tablespace s location '{space}'")
    w.cluster.sql("create table t(i int primary key, v text) tablespace s; insert into t values (1, 'restored')")
    w.backup()
    w.log()
    return space, log


def code(call: Callable[[], object]) -> str:
    with pytest.raises(AegisError) as caught:
        call()
    return caught.value.code


def dying(w: World, action: Any, verb: str, params: dict[str, Any], kept: Path, at: int) -> bool:
    """Does it in another process that dies right before or behind what changes something for the `at`-th time: marks,
    renames, removals, links and copied files count. True when it lived to the end."""
    pid = os.fork()
    if pid == 0:
        try:
            site = w.site("clear", params)
            site.kept = [Mark.model_validate_json(line) for line in kept.read_text().splitlines()]
            count = 0

            def point() -> None:
                nonlocal count
                if count == at:
                    os.kill(os.getpid(), 9)
                count += 1

            def mark(name: str, **data: Any) -> None:
                point()
                site.kept.append(Mark(name=name, data=data, at=site.clock.now()))
                with kept.open("a") as stream:
                    stream.write(site.kept[-1].model_dump_json() + "\n")
                point()

            def counted(real: Callable[..., Any]) -> Callable[..., Any]:
                def call(*words: Any, **options: Any) -> Any:
                    point()
                    return real(*words, **options)

                return call

            site.mark = mark  # type: ignore[method-assign]
            for name in ("rename", "unlink", "rmdir", "symlink"):
                setattr(os, name, counted(getattr(os, name)))
            shutil.copy2 = counted(shutil.copy2)
            getattr(action, verb)(site)
        except BaseException as error:  # noqa: BLE001 - a forked test must not go on as a second pytest
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert status in (0, 9)
    return status == 0


def points(stride: int) -> Iterator[int]:
    """Every point of the first and then a sample, until it lives."""
    yield from range(8)
    at = 8
    while True:
        yield at
        at += stride


def put_again(base: Path, saved: Path) -> None:
    """The three places as they were before."""
    for path in base.iterdir():
        if path.name.startswith(("pg", "space", "log-disk")):
            shutil.rmtree(path)
    subprocess.run(["cp", "-a", *map(str, saved.iterdir()), str(base)], check=True)


def save(base: Path) -> Path:
    saved = base / "saved"
    saved.mkdir()
    wanted = [str(base / name) for name in ("pg", "space", "log-disk")]
    subprocess.run(["cp", "-a", *wanted, str(saved)], check=True)
    return saved


def names(base: Path) -> list[str]:
    return sorted(
        str(path.relative_to(base)) for folder in (base, base / "pg") for path in folder.iterdir()
        if path.name.startswith(("main", "space", "log-disk"))
    )  # fmt: skip


def test_a_removal_that_is_killed_anywhere_goes_on_and_the_rows_come_back() -> None:
    with world() as w:
        spread(w)
        rows = w.cluster.sql(ROWS)
        w.cluster.stop()
        params = staging(w)
        w.act(prove.ACTION, "prove", proving(w, params))
        going = clearing(w, params)
        data, kept, saved = going.model_dump(mode="json"), w.base / "marks", save(w.base)
        before, kills = names(w.base), 0
        for at in points(397):
            put_again(w.base, saved)
            kept.write_text("")
            lived = dying(w, clear.ACTION, "act", data, kept, at)
            kills += not lived
            if not lived and '"clearing"' not in kept.read_text():
                assert names(w.base) == before, "touched without a mark"
            assert dying(w, clear.ACTION, "act", data, kept, -1)
            assert names(w.base) == []
            if lived:
                break
        assert kills >= 10
        assert (w.base / "saved").is_dir()
        w.marks["clear"] = [Mark.model_validate_json(line) for line in kept.read_text().splitlines()]
        w.act(clear.ACTION, "clear", going)
        put_in(w, params, "clear")
        assert w.cluster.sql(ROWS) == rows
        assert (w.cluster.data / "pg_wal").is_symlink()
        assert (w.cluster.data / "pg_wal").resolve().parent == w.base, "the log is not on its own disk any more"
        assert code(lambda: clear.ACTION.undo(w.site("clear", data, "undo"))) == "not-reversible"


def test_a_move_that_is_killed_anywhere_goes_on_or_back() -> None:
    with world() as w, another_disk() as elsewhere:
        space, log = spread(w)
        rows = w.cluster.sql(ROWS)
        w.cluster.stop()
        params = staging(w)
        going = clearing(w, params, str(elsewhere))
        data, kept, saved = going.model_dump(mode="json"), w.base / "marks", save(w.base)
        before, kills, link = names(w.base), 0, os.readlink(w.cluster.data / "pg_wal")

        def whole(root: Path) -> bool:
            compare = ["diff", "-r", "--no-dereference", root / "pg" / "main", w.cluster.data]
            return not subprocess.run(compare, capture_output=True, check=False).stdout

        for turn, at in enumerate(points(797)):
            put_again(w.base, saved)
            kept.write_text("")
            lived = dying(w, move_away.ACTION, "act", data, kept, at)
            kills += not lived
            if turn % 2 == 0 or lived:
                assert dying(w, move_away.ACTION, "act", data, kept, -1)
                assert names(w.base) == []
                assert len(list(elsewhere.iterdir())) == 3
            for half in (turn, 5 * turn, 100 * turn):
                dying(w, move_away.ACTION, "undo", data, kept, half)
            assert dying(w, move_away.ACTION, "undo", data, kept, -1)
            assert names(w.base) == before, f"killed at {at}"
            assert whole(saved), f"killed at {at}"
            assert os.readlink(w.cluster.data / "pg_wal") == link
            assert list(elsewhere.iterdir()) == []
            if lived:
                break
        assert kills >= 10
        w.cluster.start()
        assert w.cluster.sql(ROWS) == rows
        assert w.cluster.sql("select pg_tablespace_location(oid) from pg_tablespace where spcname = 's'") == [
            (str(space),)
        ]
        assert log.is_dir()


def test_moved_data_can_be_served_from_where_it_went_and_comes_back_after_a_failure() -> None:
    with world() as w, another_disk() as elsewhere:
        spread(w)
        w.cluster.sql("insert into t values (2, 'only on the old data')")
        rows, params = w.cluster.sql(ROWS), staging(w)
        w.cluster.stop()
        going = clearing(w, params, str(elsewhere))
        w.act(move_away.ACTION, "clear", going)
        (moved,) = [path for path in elsewhere.iterdir() if path.name.endswith(w.run)]
        assert {str(path.resolve().parent) for path in (moved / "pg_tblspc").iterdir()} == {str(elsewhere)}
        assert (moved / "pg_wal").resolve().parent == elsewhere
        w.act(stage.ACTION, "stage", params)
        asking = ReplayParams(store="db", lineage=w.lineage, place=params.place, timeline=1, stage="stage")
        w.act(replay.ACTION, "replay", asking)
        swapping = SwapParams(store="db", place=params.place, replay="replay", cleared="clear")
        w.act(swap.ACTION, "swap", swapping)
        with (w.cluster.data / "postgresql.conf").open("a") as conf:
            conf.write("no_such_setting = 1\n")
        starting = ServerParams(store="db", member="a")
        assert code(lambda: w.act(server.START, "start", starting)) == "server-start-failed"
        for action, step, given in (
            (server.START, "start", starting), (swap.ACTION, "swap", swapping), (replay.ACTION, "replay", asking),
            (stage.ACTION, "stage", params), (move_away.ACTION, "clear", going),
        ):  # fmt: skip
            action.undo(w.site(step, given.model_dump(mode="json"), "undo"))
        assert names(w.base) == ["log-disk", "pg/main", "space"]
        w.cluster.start()
        assert w.cluster.sql(ROWS) == rows


def test_nothing_goes_that_the_plan_did_not_see() -> None:
    with world() as w, another_disk() as elsewhere:
        space, _ = spread(w)
        params = staging(w)
        going = clearing(w, params)

        def refused(**more: Any) -> str:
            before = names(w.base)
            found = code(lambda: clear.ACTION.act(w.site("clear", clearing(w, params, **more).model_dump(mode="json"))))
            assert names(w.base) == before
            assert not w.marks["clear"], "a mark says that something was touched"
            return found

        assert refused() == "server-still-running"
        w.cluster.stop()
        assert refused(owner="7000000000000000001") == "old-data-differs"
        assert refused(owner=None) == "old-data-differs"
        assert refused(need_bytes=2**50) == "no-space"
        assert refused(keep=str(w.base)) == "old-data-place"
        assert refused(keep=str(elsewhere / "none")) == "old-data-place"
        foreign = w.cluster.data.with_name("main.aegis-new")
        foreign.mkdir()
        (foreign / "somebody-elses").touch()
        assert refused() == "staging-occupied"
        shutil.rmtree(foreign)
        w.outputs["tail"] = {"records": {}, "end": None}
        assert refused(tail="tail") == "old-log-not-kept"
        (space / "somebody-elses").mkdir()
        assert refused() == "old-data-entangled"
        (space / "somebody-elses").rmdir()
        real = w.cluster.data.with_name("real")
        w.cluster.data.rename(real)
        w.cluster.data.symlink_to(real)
        assert refused() == "old-data-entangled"
        w.cluster.data.unlink()
        assert refused() == "old-data-differs"
        real.rename(w.cluster.data)
        # Half way, somebody puts another cluster there.
        kept = w.base / "marks"
        kept.write_text("")
        data = going.model_dump(mode="json")
        assert not dying(w, clear.ACTION, "act", data, kept, 2)
        assert '"clearing"' in kept.read_text()
        w.marks["clear"] = [Mark.model_validate_json(line) for line in kept.read_text().splitlines()]
        w.cluster.data.rename(real)
        shutil.copytree(real, w.cluster.data, symlinks=True)
        assert code(lambda: w.act(clear.ACTION, "clear", going)) == "old-place-taken"
        assert (w.cluster.data / "PG_VERSION").exists()


def test_what_could_not_be_read_when_planned_may_go_as_that() -> None:
    with world() as w:
        spread(w)
        rows, params = w.cluster.sql(ROWS), staging(w)
        w.cluster.kill()
        (w.cluster.data / "global" / "pg_control").unlink()
        for path in (w.base / "log-disk").iterdir():
            if path.is_file():
                path.write_bytes(b"")
        w.act(prove.ACTION, "prove", proving(w, params, owner=None))
        w.act(clear.ACTION, "clear", clearing(w, params, owner=None))
        put_in(w, params, "clear")
        assert w.cluster.sql(ROWS) == rows


def test_a_proof_says_what_staging_will_say_and_writes_nothing_beside() -> None:
    with world() as w:
        fill(w)
        before = names(w.base)
        params = staging(w)
        proved = w.act(prove.ACTION, "prove", proving(w, params, followed=True))
        assert names(w.base) == before
        assert w.cluster.sql("select 1") == [(1,)]
        staged = w.act(stage.ACTION, "stage", params)
        for name in ("end", "covers_until"):
            assert proved[name] == staged[name]
        scratch = w.base / "site" / "work" / w.run
        kept = {str(path.relative_to(scratch / "db.proof")) for path in scratch.rglob("*") if path.is_file()}
        data = {name for name in kept if not name.startswith("log/")}
        assert data == {"root/global/pg_control", "log.json"}, "data was written"
        prove.ACTION.undo(w.site("prove", proving(w, params).model_dump(mode="json"), "undo"))
        assert not list(scratch.rglob("*"))


def test_a_proof_over_a_change_of_timelines_and_of_what_comes_late() -> None:
    with world() as w:
        w.cluster.sql("create table t(i int primary key, v text); insert into t values (1, 'a')")
        w.backup()
        w.cluster.sql("insert into t values (2, 'b')")
        w.log()
        w.cluster.kill()
        recover(w, staging(w))
        for number in range(3):
            w.cluster.sql(
                f"insert into t select {number * 100_000} + g + 10, repeat('x', 300) from generate_series(1, 60000) g"
            )
        switch = int((w.cluster.data / "pg_wal/00000002.history").read_text().split()[1].split("/")[1], 16)
        w.history(2)
        w.log(timeline=2, begin=switch)
        first = staging(w, timeline=2)
        w.cluster.sql("insert into t values (5, 'late')")
        w.log(timeline=2)
        late = {w.logs[-1].id: w.digests[w.logs[-1].id]}
        rows = w.cluster.sql(ROWS)
        again(w, 1)
        w.act(prove.ACTION, "prove", proving(w, first, followed=True))
        whole = first.model_copy(update={"tail": "tail"})
        w.outputs["tail"] = {"records": late, "end": w.logs[-1].end, "covers_until": "2026-11-23T00:00:00Z"}
        proved = w.act(prove.ACTION, "prove-tail", proving(w, whole, proved="prove"))
        assert not list((w.base / "site" / "work" / w.run).rglob("*"))
        w.cluster.stop()
        w.act(clear.ACTION, "clear", clearing(w, whole, tail="tail", tail_begin=w.logs[-1].begin))
        put_in(w, whole, "clear")
        assert w.outputs["stage"]["end"] == proved["end"]
        assert w.cluster.sql(ROWS) == rows
        # Without what the first proof left, the second reads everything.
        w.run, w.marks = "20261123T000002Z-abcdef", {}
        assert w.act(prove.ACTION, "prove-tail", proving(w, whole, proved="prove"))["end"] == proved["end"]


@pytest.mark.parametrize("harm", ["base", "manifest", "log", "hole", "incremental"])
def test_a_proof_finds_damage_in_every_copy(harm: str) -> None:
    with world() as w:
        fill(w)
        w.cluster.sql("insert into t values (200000, 'more')")
        w.log()
        params = staging(w)
        if harm == "hole":
            first = w.logs[0].id
            params = params.model_copy(update={"log": {key: one for key, one in params.log.items() if key != first}})
        elif harm == "incremental":
            params = params.model_copy(update={"sets": dict(list(params.sets.items())[1:])})
        else:
            record: Any = w.logs[0] if harm == "log" else w.sets[0]
            stored = next(one for one in record.objects if harm == "log" or one.name.startswith(harm))
            for repository in ("one", "two"):
                path = w.base / repository / stored.key
                data = bytearray(path.read_bytes())
                data[len(data) // 2] ^= 1
                path.unlink()
                path.write_bytes(bytes(data))
        before = names(w.base)
        with pytest.raises(AegisError):
            w.act(prove.ACTION, "prove", proving(w, params))
        assert names(w.base) == before
        assert not list((w.base / "site" / "work").rglob("*.proof"))
