"""What a Milvus member lacks for all that is declared of its store. It changes nothing."""

from __future__ import annotations

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.requirement import Requirement, unverified
from aegis_plan.stores.contract import Checked
from aegis_plan.stores.milvus import lite
from aegis_plan.stores.milvus.collection import describe, names
from aegis_plan.stores.milvus.connection import NO_DATABASE, Connection, RefusedError, connect
from aegis_plan.stores.milvus.model import Server

_ALL = ("full", "restore")


def check_member(context: Context, store: str, member: str) -> Checked:
    """Never raises for a server that is down or refuses: that is what it tells."""
    declared, subject = context.declared.stores[store], f"stores/{store}/{member}"
    fields = Server.model_validate(declared.members[member].server)
    found: list[Requirement] = []
    try:
        if fields.mode == "lite":
            path = context.secrets.text(declared.members[member].connection)
            return Checked((*found, *_file(path, subject)), read=lite.is_database(path))
        with connect(context, store, member) as server:
            found.append(_ok("milvus-unreachable", "Milvus answers", subject))
            found += _server(server, fields, subject)
    except AegisError as error:
        if isinstance(error, RefusedError) and error.number in NO_DATABASE:
            found.append(_no_database(fields, subject))
        elif error.code in ("milvus-login-refused", "secret-unresolved"):
            found.append(_lacks(error.code, "Milvus takes the login", subject, error.detail, error.hint))
        else:
            found.append(unverified(error.code, "Milvus answers", error, subject, needed_for=_ALL))
        return Checked(tuple(found))
    return Checked(tuple(found), read=True)


def _ok(code: str, summary: str, subject: str) -> Requirement:
    return Requirement(code=code, state="ok", summary=summary, subject=subject, needed_for=_ALL)


def _lacks(code: str, summary: str, subject: str, detail: str, hint: str) -> Requirement:
    return Requirement(
        code=code, state="missing", summary=summary, subject=subject, needed_for=_ALL, detail=detail, hint=hint
    )


def _file(path: str, subject: str) -> list[Requirement]:
    found = []
    try:
        lite.needs(subject)
        found.append(_ok("milvus-lite-missing", "Milvus Lite is installed, and new enough", subject))
    except AegisError as error:
        found.append(_lacks(error.code, "Milvus Lite is installed, and new enough", subject, error.detail, error.hint))
    summary = "there is a Milvus Lite database at its path"
    if not lite.is_database(path):
        found.append(
            _lacks("milvus-lite-not-there", summary, subject, path, "correct `connection`, or restore it there")
        )
    else:
        found.append(_ok("milvus-lite-not-there", summary, subject))
        held = lite.is_open(path)
        found.append(
            Requirement(
                code="milvus-lite-open",
                state="missing" if held else "ok",
                summary="no other program has the Milvus Lite database open",
                severity="warning",
                subject=subject,
                needed_for=_ALL,
                detail=f"{path} is open now; it can be backed up only while nobody has it open" if held else "",
                hint="let that program end, or serve it with `milvus-lite server`" if held else "",
            )
        )
    return found


def _server(server: Connection, fields: Server, subject: str) -> list[Requirement]:
    found = []
    if server.lite and lite.too_old(server.version):
        error = lite.refused_version(server.where, server.version)
        found.append(_lacks(error.code, "this version reads whole pages", subject, error.detail, error.hint))
    databases = _databases(server)
    if databases is not None and fields.database not in databases:
        return [*found, _no_database(fields, subject)]
    there = set(names(server))
    missing = sorted(set(fields.collections) - there)
    summary = "the collections that are backed up are there"
    found.append(
        _lacks("milvus-collection-missing", summary, subject, ", ".join(missing), "correct `collections`")
        if missing
        else _ok("milvus-collection-missing", summary, subject)
    )
    try:
        for name in sorted(set(fields.collections) or there)[:1]:
            describe(server, name)
    except AegisError as error:
        found.append(_lacks("milvus-login-refused", "its user may read", subject, error.detail, error.hint))
    return found


def _databases(server: Connection) -> list[str] | None:
    try:
        return list(server.call("ListDatabases", "ListDatabasesRequest").db_names)
    except AegisError:
        return None


def _no_database(fields: Server, subject: str) -> Requirement:
    return _lacks(
        "milvus-database-missing", "the database is there", subject, fields.database,
        "correct `database`, or make it; a restore makes it by itself",
    )  # fmt: skip
