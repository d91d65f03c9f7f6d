"""The step `accept`: the restored server runs on the proved timeline; from here on its data is the store's.

It settles what becomes of the old data. It never accepts a server that it could not ask.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import psycopg

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.stores.postgresql import control
from aegis_plan.stores.postgresql import place as places
from aegis_plan.stores.postgresql.connection import prepared, refused
from aegis_plan.stores.postgresql.control_file import cluster
from aegis_plan.stores.postgresql.kept import copy_verified
from aegis_plan.stores.postgresql.model import AcceptParams, Server
from aegis_plan.stores.postgresql.segments import read_history

_QUESTION = (
    "select pg_is_in_recovery(), (select system_identifier from pg_control_system())::text,"
    " (select timeline_id from pg_control_checkpoint()), pg_current_wal_flush_lsn()::text,"
    " current_setting('server_version_num')::int / 10000"
)


def ask(context: Context, params: AcceptParams, server: Server) -> tuple[Any, ...]:
    """Asks the running server what it is, by the member's connection: people and jobs reach it by that, or not at all.
    Its own socket is asked where none is declared, and where that connection leads to its port and the login alone is
    refused, as when the restored data is from before the password was changed; that is told as a finding.

    Raises UnavailableError `server-not-answering`, AegisError `restored-server-unreachable`."""
    assert params.member is not None
    note = control.postmaster(server.data_directory)
    declared = context.declared.stores[params.store].members[params.member].connection
    where = f"{params.store}/{params.member}"
    listens = ""
    if note is not None:
        listens = f"port {note.port}" + (f", socket folder {note.socket}" if note.socket else "")
    said = "no connection is declared"
    if declared:
        try:
            return _row(prepared(context.secrets.text(declared)))
        except psycopg.Error as error:
            # Texts of libpq can hold the connection string; what `refused` makes of them cannot.
            why, tried = refused(str(error), where), _port(error)
        said = f"{why.summary}: {why.detail}"
        if why.code == "server-unreachable" or (note is not None and str(note.port) != tried):
            raise AegisError(
                "restored-server-unreachable",
                "the restored server cannot be reached by the member's connection",
                f"{said}; it listens on {listens or 'nothing that it wrote down'}",
                "correct `connection`, or `port`, `socket_directory` and `options` of the member's server, with which "
                "pg_ctl starts it; then make a new plan",
            )
        if why.code not in ("login-refused", "database-missing"):
            raise _silent(params, said)
    if note is None or not note.socket:
        raise _silent(params, said)
    try:
        row = _row("", host=note.socket, port=note.port, user=server.run_as or "postgres", dbname="postgres")
    except psycopg.Error as error:
        raise _silent(params, f"{said}; by its own socket: {error.sqlstate or type(error).__name__}") from None
    if declared:
        context.find(
            "warning",
            "restored-login-refused",
            "the restored server refuses the login of the member's connection",
            f"{said}; by its own socket it was seen to be the restored one",
            "give the role the password that the site has, or the site the one of the restored data; until then "
            "nothing is backed up",
        )
    return row


def _row(text: str, **more: Any) -> tuple[Any, ...]:
    with psycopg.connect(
        text, **{"connect_timeout": 10, "autocommit": True, "application_name": "aegis", **more}
    ) as connection:
        row = connection.execute(_QUESTION).fetchone()
    assert row is not None
    return tuple(row)


def _port(error: psycopg.Error) -> str:
    """The port that was tried, as libpq read it from connection, service file and environment."""
    return error.pgconn.port.decode() if error.pgconn is not None and error.pgconn.port else "5432"


def _silent(params: AcceptParams, said: str) -> UnavailableError:
    return UnavailableError(
        "server-not-answering",
        "the server does not answer a login",
        f"store {params.store}, member {params.member}: {said}",
        "check `connection` of the member, then try again",
    )


class Accept:
    """Accept the restored data."""

    kind = "accept"

    def probe(self, context: Context) -> Probed:
        params = AcceptParams.model_validate(context.attempt.params)
        note = places.read_note(Path(params.place.data_directory))
        done = any(mark.name == "accepted" for mark in context.marks)
        if done and note is None:
            return Probed("satisfied", outputs=dict(next(m.data for m in context.marks if m.name == "accepted")))
        return Probed("needed")

    def act(self, context: Context) -> Done:
        params = AcceptParams.model_validate(context.attempt.params)
        where = places.layout(params.place)
        proved = context.attempt.outputs.get(params.replay) or dict((places.read_note(where.final) or {})["replayed"])
        if params.member is None:
            return Done({"timeline": proved["timeline"]})
        server = control.declared_server(context, params.store, params.member)
        if control.status(server) != "running":
            raise AegisError(
                "server-not-running",
                "the restored server does not run",
                server.data_directory,
                "look into its log, start it, then try again",
            )
        recovering, identifier, timeline, flushed, major = ask(context, params, server)
        expected = cluster(server.binaries, server.data_directory)
        problems = []
        if recovering:
            problems.append("it is a replica")
        if identifier != expected.system_identifier:
            problems.append(f"who answers has system identifier {identifier}, the data {expected.system_identifier}")
        if timeline != proved["timeline"] and not self._follows(server, timeline, proved["timeline"]):
            problems.append(f"it is on timeline {timeline}, proved was {proved['timeline']}")
        if problems:
            raise AegisError(
                "restored-server-differs",
                "the server that answers is not the one that was restored",
                "; ".join(problems),
                "check that the member's connection leads to this server",
            )
        outputs = {"timeline": timeline, "lineage": f"{identifier}-{major}", "flush_lsn": flushed}
        context.mark("accepted", **outputs)
        self._old(context, params, where)
        if places.ours(where.final, context):
            (where.final / places.NOTE).unlink()
        places.remove(where.spool, context)
        if where.inside and where.staging.is_dir() and not any(where.staging.iterdir()):
            where.staging.rmdir()
        return Done(outputs)

    def undo(self, context: Context) -> Done:
        raise AegisError(
            "not-reversible",
            "this step cannot be taken back",
            "the restored data was accepted and may have been written to",
            "recover to an earlier point with a new plan",
        )

    def _follows(self, server: Server, timeline: int, proved: int) -> bool:
        path = Path(server.data_directory) / "pg_wal" / f"{timeline:08X}.history"
        return path.exists() and proved in [switch.timeline for switch in read_history(path.read_bytes())]

    def _old(self, context: Context, params: AcceptParams, where: places.Layout) -> None:
        """Old data stays beside, goes to another disk, or goes away, as the documents say."""
        keep, run = context.declared.stores[params.store].keep_old_data, context.attempt.run
        old = where.old(run)
        if keep == "beside" or not old.is_dir():
            return
        if keep != "no":
            goal = Path(keep) / old.name.removeprefix(places.INSIDE)
            context.progress("copy the old data aside")
            copy_verified(old, goal, context.check)
            context.mark("old-copied", path=str(goal))
        else:
            for folder in _elsewhere(old, where.final, run):
                shutil.rmtree(folder)
        shutil.rmtree(old)
        places.sync_folder(old.parent)


def _elsewhere(old: Path, final: Path, run: str) -> list[Path]:
    """What belongs to the old data and lies on other disks: tablespaces that the swap put aside, and the log."""
    found = [Path(os.readlink(link)) for link in (old / "pg_tblspc").glob("*") if link.is_symlink()]
    folders = [folder for folder in found if folder.name.endswith(f".aegis-old-{run}") and folder.is_dir()]
    log = Path(os.path.realpath(old / "pg_wal"))
    if (old / "pg_wal").is_symlink() and log.is_dir() and log != Path(os.path.realpath(final / "pg_wal")):
        folders.append(log)
    return folders


ACTION = Accept()
