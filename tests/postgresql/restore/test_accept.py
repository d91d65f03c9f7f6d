"""What becomes of the old data after acceptance, and of a log folder on another disk."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import Any

import psycopg
import pytest
from rig import World, binaries, run, user, world
from test_restore import ROWS, recover, staging

from aegis_plan.documents.model import Documents
from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql import accept, control, server, stage, swap
from aegis_plan.stores.postgresql.model import AcceptParams, ServerParams, SwapParams
from tests.servers.postgresql import free_port


def keeping(w: World, keep: str) -> None:
    """Lets the documents say what becomes of the old data."""
    data = w.declared().model_dump(mode="json")
    data["stores"]["db"]["keep_old_data"] = keep
    found = Documents.model_validate(data)
    w.declared = lambda: found  # type: ignore[method-assign]


def test_old_data_goes_where_the_documents_say_and_a_log_folder_elsewhere_stays_elsewhere() -> None:
    with world() as w:
        elsewhere, kept = w.base / "log-disk", w.base / "kept"
        kept.mkdir()
        w.cluster.stop()
        shutil.move(w.cluster.data / "pg_wal", elsewhere)
        (w.cluster.data / "pg_wal").symlink_to(elsewhere)
        w.cluster.start()
        w.cluster.sql("create table t(i int primary key, v text); insert into t values (1, 'a')")
        w.backup()
        w.log()
        rows = w.cluster.sql(ROWS)
        w.cluster.kill()
        keeping(w, str(kept))
        recover(w, staging(w))
        assert w.cluster.sql(ROWS) == rows
        assert (w.cluster.data / "pg_wal").is_symlink()
        assert (w.cluster.data / "pg_wal").resolve().parent == w.base
        moved = list(kept.iterdir())
        assert len(moved) == 1
        assert (moved[0] / "PG_VERSION").read_text() == "18\n"
        assert not list(w.cluster.base.glob("main.*"))
        w.cluster.kill()
        keeping(w, "no")
        w.run, w.outputs, w.marks = "20261123T000001Z-abcdef", {}, {}
        recover(w, staging(w))
        assert w.cluster.sql(ROWS) == rows
        assert not list(w.cluster.base.glob("main.*"))


def test_another_server_behind_the_connection_is_not_accepted() -> None:
    with world() as w, world() as other:
        w.cluster.sql("create table t(i int primary key, v text)")
        w.backup()
        w.log()
        w.cluster.kill()
        params = staging(w)
        outputs = recover(w, params)
        data: dict[str, Any] = w.declared().model_dump(mode="json")
        data["stores"]["db"]["members"]["a"]["connection"] = other.cluster.dsn
        found = Documents.model_validate(data)
        w.declared = lambda: found  # type: ignore[method-assign]
        w.outputs = {"replay": outputs}
        with pytest.raises(AegisError) as caught:
            w.act(accept.ACTION, "again", AcceptParams(store="db", member="a", place=params.place, replay="replay"))
        assert caught.value.code == "restored-server-differs"


def connecting(w: World, connection: str, **more: Any) -> None:
    """Lets the documents say how the member is reached, and how it is started."""
    data: dict[str, Any] = w.declared().model_dump(mode="json")
    data["stores"]["db"]["members"]["a"]["connection"] = connection
    data["stores"]["db"]["members"]["a"]["server"] |= more
    found = Documents.model_validate(data)
    w.declared = lambda: found  # type: ignore[method-assign]


def test_only_a_server_that_the_connection_leads_to_is_accepted() -> None:
    """As when it was started with a port on its command line that nobody wrote down."""
    with world() as w:
        w.cluster.sql("create table t(i int primary key, v text); insert into t values (1, 'a')")
        w.backup()
        w.log()
        rows = w.cluster.sql(ROWS)
        elsewhere = free_port()
        moved = re.sub(r"port=\d+", f"port={elsewhere}", w.cluster.dsn)
        w.cluster.kill()
        connecting(w, moved)
        params = staging(w)
        with pytest.raises(AegisError) as caught:
            recover(w, params)
        assert caught.value.code == "restored-server-unreachable"
        assert "nothing listens there" in caught.value.detail
        assert elsewhere != int(re.findall(r"listens on port (\d+)", caught.value.detail)[0])
        # Nothing is settled: what was put in place goes, and the old data is back.
        server.START.undo(w.site("start", ServerParams(store="db", member="a").model_dump()))
        swap.ACTION.undo(w.site("swap", SwapParams(store="db", place=params.place, replay="replay").model_dump()))
        assert not list(w.cluster.base.glob("main.aegis-old-*"))
        stage.ACTION.undo(w.site("stage", params.model_dump(mode="json")))
        # With the port among its fields it is the one that the connection means.
        connecting(w, moved, port=elsewhere)
        w.run, w.outputs, w.marks = "20261123T000001Z-abcdef", {}, {}
        recover(w, staging(w))
        with psycopg.connect(moved) as sql:
            assert sql.execute(ROWS).fetchall() == rows


def test_a_refused_login_is_told_where_its_own_socket_shows_the_server() -> None:
    with world() as w:
        w.cluster.sql("create table t(i int primary key, v text)")
        w.cluster.sql("create role postgres superuser login")
        w.backup()
        w.log()
        w.cluster.kill()
        params = staging(w)
        outputs = recover(w, params)
        connecting(w, re.sub(r"dbname=\w+", "dbname=not-made-yet", w.cluster.dsn))
        w.outputs = {"replay": outputs}
        accepting = AcceptParams(store="db", member="a", place=params.place, replay="replay")
        site = w.site("again", accepting.model_dump(mode="json"))
        accept.ACTION.act(site)
        assert [one.code for one in site.findings] == ["restored-login-refused"]


def test_a_server_is_judged_by_its_processes_and_not_by_a_number() -> None:
    with world() as w:
        asked = w.site("stop", ServerParams(store="db", member="a").model_dump())
        found = control.declared_server(asked, "db", "a")
        assert control.status(found) == "running"
        note = (w.cluster.data / "postmaster.pid").read_text()
        server.STOP.act(asked)
        assert control.status(found) == "stopped"
        ended = subprocess.Popen(["true"])
        ended.wait()
        # A stale note: of a process that ended, and of one that is somebody else, this very test.
        for pid in (os.getpid(), ended.pid):
            (w.cluster.data / "postmaster.pid").write_text(note.replace(note.split()[0], str(pid), 1))
            if name := user():
                shutil.chown(w.cluster.data / "postmaster.pid", name)
            assert control.status(found) == "stopped"
        server.STOP.undo(asked)
        assert control.status(found) == "running"
        w.cluster.sql("select 1")


def test_a_server_that_is_put_back_listens_where_it_did() -> None:
    with world() as w:
        w.cluster.stop()
        elsewhere = free_port()
        typed = f"-p {elsewhere} -c work_mem=7MB"
        run(binaries() / "pg_ctl", "start", "-w", "-D", w.cluster.data, "-l", w.base / "pg" / "server.log", "-o", typed)
        asked = w.site("stop", ServerParams(store="db", member="a").model_dump())
        server.STOP.act(asked)
        server.STOP.undo(asked)
        with psycopg.connect(re.sub(r"port=\d+", f"port={elsewhere}", w.cluster.dsn)) as sql:
            assert sql.execute("show work_mem").fetchone() == ("7MB",)
