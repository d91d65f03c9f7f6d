"""What is damaged in one copy is read from the other; what is damaged everywhere is refused before anything is
touched, and the server goes on serving its data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rig import World, world
from test_restore import ROWS, staging

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.repositories import keys
from aegis_plan.stores.postgresql import place as places
from aegis_plan.stores.postgresql import stage
from aegis_plan.stores.postgresql.look import look
from aegis_plan.stores.postgresql.model import Place, StageParams


@pytest.fixture(scope="module")
def stocked() -> Iterator[World]:
    with world() as w:
        w.cluster.sql("create table t(i int primary key, v text); insert into t values (1, 'a')")
        w.backup()
        w.cluster.sql("insert into t select g, 'b' from generate_series(2, 2000) g")
        w.log()
        w.cluster.sql("insert into t values (0, 'c')")
        w.log()
        yield w


def flip(path: Path) -> bytes:
    """Changes one byte and gives the old content."""
    before = path.read_bytes()
    place = len(before) // 2
    path.chmod(0o600)
    path.write_bytes(before[:place] + bytes([before[place] ^ 1]) + before[place + 1 :])
    return before


def refused(w: World, params: StageParams) -> AegisError:
    """The refusal, with nothing left behind and the server untouched."""
    rows = w.cluster.sql(ROWS)
    with pytest.raises(AegisError) as caught:
        stage.ACTION.act(w.site("stage", params.model_dump(mode="json")))
    assert not list(w.cluster.base.glob("*.aegis-*"))
    assert w.cluster.sql(ROWS) == rows
    return caught.value


def copies(w: World, number: int, kind: str = "base.000") -> list[Path]:
    record = w.sets[0] if kind == "base.000" else w.logs[number]
    stored = next(found for found in record.objects if found.name == kind or kind == "log")
    return [w.base / name / stored.key for name in w.repositories]


def test_one_flipped_byte_in_one_copy_is_a_finding(stocked: World) -> None:
    path = copies(stocked, 0)[0]
    before = flip(path)
    try:
        site = stocked.site("stage", staging(stocked).model_dump(mode="json"))
        stage.ACTION.act(site)
        assert {note.code for note in site.findings} == {"copy-damaged"}
        assert "one" in site.findings[0].detail
        stage.ACTION.undo(stocked.site("stage", staging(stocked).model_dump(mode="json")))
        assert not list(stocked.cluster.base.glob("*.aegis-*"))
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("kind", ["base.000", "log"])
@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_damage_in_every_copy_is_refused(stocked: World, kind: str, how: str) -> None:
    paths = copies(stocked, 0, kind)
    before = [path.read_bytes() for path in paths]
    for path in paths:
        if how == "flipped":
            flip(path)
        elif how == "cut":
            path.chmod(0o600)
            path.write_bytes(path.read_bytes()[:-100])
        else:
            path.unlink()
    try:
        assert refused(stocked, staging(stocked)).code == "object-damaged-everywhere"
    finally:
        for path, data in zip(paths, before):
            path.write_bytes(data)


def test_a_hole_in_the_log_is_named(stocked: World) -> None:
    params = staging(stocked)
    log = dict(params.log)
    missing = stocked.logs[0]
    del log[missing.id]
    error = refused(stocked, params.model_copy(update={"log": log}))
    assert error.code == "log-hole"
    assert f"from {missing.begin} to {missing.end}" in error.detail


def test_a_record_that_is_not_the_planned_one_is_refused(stocked: World) -> None:
    params = staging(stocked)
    wrong = dict.fromkeys(params.sets, "0" * 64)
    assert refused(stocked, params.model_copy(update={"sets": wrong})).code == "record-lost"


def test_a_forged_record_is_refused(stocked: World) -> None:
    record = stocked.sets[0]
    paths = [
        stocked.base / name / keys.record("aegis", "db", record.lineage, record.id) for name in stocked.repositories
    ]
    before = [path.read_bytes() for path in paths]
    for path in paths:
        path.chmod(0o600)
        path.write_bytes(path.read_bytes().replace(b'"method":"full"', b'"method":"incremental"'))
    try:
        assert refused(stocked, staging(stocked)).code == "record-lost"
    finally:
        for path, data in zip(paths, before):
            path.write_bytes(data)


def test_a_wrong_identity_is_refused(stocked: World) -> None:
    from aegis_plan.sealing.keys import new_identity

    right = stocked.secret
    stocked.secret = new_identity()[0]
    try:
        assert refused(stocked, staging(stocked)).code == "no-key-opens"
    finally:
        stocked.secret = right


def test_a_set_of_another_server_is_refused(stocked: World) -> None:
    with world() as other:
        other.cluster.sql("create table t(i int primary key, v text)")
        other.backup()
        lineage = stocked.lineage
        # The right name on the wrong data: the record says our lineage, the control file says another.
        wrong = other.sets[0].model_copy(update={"lineage": lineage})
        other.lineage = lineage
        key = other.writer("sets/x", _key(other, wrong.key), lineage)
        key.abort()
        for name, repository in other.repositories.items():
            blob = keys.data_key("aegis", "db", lineage, wrong.key, 0)
            assert repository.head(blob), name
        other.keep(wrong)
        assert refused(other, staging(other)).code == "lineage-differs"


def _key(w: World, name: str) -> object:
    from aegis_plan.repositories.datakeys import load_key

    prefix = keys.data_key_prefix("aegis", "db", w.sets[0].lineage, name)
    return load_key(w.repositories, prefix, (w.secret,), w.declared().sealing.believed)


def test_places_that_cannot_take_it_are_refused(stocked: World, tmp_path: Path) -> None:
    params = staging(stocked)

    def placed(**more: object) -> StageParams:
        return params.model_copy(update={"place": Place(**{**stocked.place(), **more})})

    assert refused(stocked, placed(data_directory="/no/such/folder/main")).code == "place-not-here"
    assert refused(stocked, placed(binaries="/usr/bin")).code in ("program-missing", "binaries-wrong-version")
    assert refused(stocked, params.model_copy(update={"need_bytes": 1 << 60})).code == "no-space"
    assert refused(stocked, placed(run_as="no-such-account")).code == "run-as-unknown"
    (tmp_path / "something").touch()
    assert refused(stocked, placed(beside=str(tmp_path), data_directory=str(tmp_path))).code == "place-occupied"


@pytest.mark.parametrize("part", ["staging", "spool"])
def test_what_is_not_ours_stays_and_leaves_nothing_to_take_back(stocked: World, part: str) -> None:
    folder: Path = getattr(places.layout(Place(**stocked.place())), part)
    folder.mkdir()
    (folder / "precious").write_text("x")
    (folder / places.NOTE).write_text('{"run": "of-another", "store": "db"}')
    try:
        # A step of its own: others of this world left their marks.
        site = stocked.site(f"stage-{part}", staging(stocked).model_dump(mode="json"))
        with pytest.raises(AegisError) as caught:
            stage.ACTION.act(site)
        assert caught.value.code == "staging-occupied"
        assert "aegis resume of-another" in caught.value.hint
        stage.ACTION.undo(site)
        assert (folder / "precious").read_text() == "x"
        # A plan is told of it, and by whom, before anything begins.
        seen = look(site, "db", "a")
        assert seen.details["leftovers"] == {str(folder): "of-another"}
    finally:
        (folder / places.NOTE).unlink()
        (folder / "precious").unlink()
        folder.rmdir()


def test_a_killed_stage_begins_anew_and_only_removes_its_own(stocked: World) -> None:
    import os

    params = staging(stocked).model_dump(mode="json")
    pid = os.fork()
    if pid == 0:
        site = stocked.site("stage", params)

        def die(phase: str, done: int = 0, total: int | None = None, unit: str = "B") -> None:
            if done > (total or 0) // 2:
                os.kill(os.getpid(), 9)

        site.progress = die  # type: ignore[method-assign]
        stage.ACTION.act(site)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 9
    assert places.layout(Place(**stocked.place())).staging.exists()
    site: Context = stocked.site("stage", params)  # type: ignore[assignment]
    assert stage.ACTION.probe(site).answer == "needed"
    first = stage.ACTION.act(site).outputs
    assert stage.ACTION.probe(site).answer == "satisfied"
    assert stage.ACTION.act(site).outputs == first
    stage.ACTION.undo(site)
    assert not list(stocked.cluster.base.glob("*.aegis-*"))
