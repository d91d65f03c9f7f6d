"""What a member lacks for all that is declared of its store: login, version, rights, its host. It changes nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.requirement import Requirement, unverified
from aegis_plan.stores.contract import Checked
from aegis_plan.stores.neo4j import admin, control
from aegis_plan.stores.neo4j.connection import LoginRefusedError, ask, names, opened, server_of
from aegis_plan.stores.neo4j.export import too_old
from aegis_plan.stores.neo4j.model import Server
from aegis_plan.stores.neo4j.place import configuration, layout
from aegis_plan.stores.programs import account

if TYPE_CHECKING:
    from neo4j import Driver

_ALL = ("full", "restore")


def check_member(context: Context, store: str, member: str) -> Checked:
    """Never raises for a server that is down or refuses: that is what it tells."""
    subject = f"stores/{store}/{member}"
    server = server_of(context, store, member)
    found: list[Requirement] = []
    read = False
    try:
        with opened(context, store, member, 5.0) as driver:
            read = member == _to_read(context, store)
            found.append(_ok("login-refused", "the login is taken", subject))
            found += _asked(driver, server, f"{store}/{member}", subject)
    except LoginRefusedError as error:
        found.append(_lacks(error.code, "the login is taken", subject, error, _ALL))
        found.append(unverified("server-not-asked", "the server has what is needed", error, subject, needed_for=_ALL))
    except AegisError as error:
        if error.code in ("secret-unresolved", "connection-malformed"):
            found.append(_lacks(error.code, "the connection can be read at its site", subject, error, _ALL))
        found.append(unverified("server-not-asked", "the server has what is needed", error, subject, needed_for=_ALL))
    if server is None:
        found.append(
            Requirement(
                code="server-not-declared",
                state="missing",
                severity="warning",
                subject=subject,
                summary="the documents say where the server lives",
                needed_for=("restore",),
                detail="without `server` nothing can be put in place on its host",
                hint="give its `server` a home",
            )
        )
    else:
        found += _host(server, subject)
    return Checked(tuple(found), read=read, size=size_of(server))


def _to_read(context: Context, store: str) -> str:
    """The member that is backed up; none follows another, so that all that answer are alike."""
    declared = context.declared.stores[store]
    named = declared.backup.from_member if declared.backup is not None else None
    return named or declared.preferred or next(iter(declared.members))


def size_of(server: Server | None) -> int | None:
    """Bytes of the databases, where they lie on this host."""
    folder = layout(server).databases if server is not None else None
    if folder is None or not folder.is_dir():
        return None
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _ok(code: str, summary: str, subject: str) -> Requirement:
    return Requirement(code=code, state="ok", summary=summary, subject=subject)


def _lacks(code: str, summary: str, subject: str, error: AegisError, needed: tuple[str, ...]) -> Requirement:
    return Requirement(
        code=code, state="missing", summary=summary, subject=subject, needed_for=needed,
        detail=error.detail or error.summary, hint=error.hint,
    )  # fmt: skip


def _asked(driver: Driver, server: Server | None, where: str, subject: str) -> list[Requirement]:
    found = []
    by_dump = server is not None and server.backup_by == "dump"
    first = names(server)[0]
    for name in names(server):
        try:
            ask(driver, name, "RETURN 1", where)
            found.append(_ok("database-missing", f"the database {name} is there", subject))
        except AegisError as error:
            found.append(_lacks(error.code, f"the database {name} is there", subject, error, _ALL))
    if not by_dump:
        try:
            versions, _ = ask(driver, first, "CALL dbms.components() YIELD versions, edition", where)[0]
            too_old(str(versions[0]), where)
            found.append(_ok("neo4j-too-old", "the server can be exported", subject))
        except AegisError as error:
            found.append(_lacks(error.code, "the server can be exported", subject, error, ("full",)))
        for query, what in (
            ("SHOW TRANSACTIONS YIELD transactionId", "transactions may be listed"),
            ("SHOW CONSTRAINTS YIELD name", "constraints may be listed"),
            ("SHOW INDEXES YIELD name", "indexes may be listed"),
        ):
            try:
                ask(driver, first, query, where)
                found.append(_ok("neo4j-right-missing", what, subject))
            except AegisError as error:
                found.append(_lacks("neo4j-right-missing", what, subject, error, ("full",)))
    return found


def _host(server: Server, subject: str) -> list[Requirement]:
    """What a restore needs of the host, where the site may be on another one."""
    where = layout(server)
    found = []

    def need(code: str, summary: str, good: bool, detail: str, hint: str, needed: tuple[str, ...]) -> None:
        found.append(
            Requirement(
                code=code,
                state="ok" if good else "missing",
                severity="breach" if "full" in needed else "warning",
                summary=summary,
                subject=subject,
                needed_for=needed,
                detail="" if good else detail,
                hint="" if good else hint,
            )
        )

    needs_dump = _ALL if server.backup_by == "dump" else ("restore",)
    program = Path(server.home) / "bin" / "neo4j"
    need(
        "neo4j-not-here", "the server's programs are on this host", os.access(program, os.X_OK), f"{program}",
        "correct `home` of the member's server", ("restore",),
    )  # fmt: skip
    need(
        "neo4j-not-here", "neo4j-admin is on this host", admin.there(server), admin.program(server),
        "correct `admin` of the member's server", needs_dump,
    )  # fmt: skip
    need(
        "neo4j-not-here", "neo4j.conf can be read", os.access(configuration(server) / "neo4j.conf", os.R_OK),
        f"{configuration(server)}/neo4j.conf", "correct `configuration` of the member's server", needs_dump,
    )  # fmt: skip
    try:
        account(server.run_as)
        may = os.access(where.data, os.W_OK) if where.data.is_dir() else False
        need(
            "place-refused", "the site may write where the data lies", may, str(where.data),
            "run the site as the account of the server or as root", needs_dump,
        )  # fmt: skip
        known = control.status(server) != "unknown"
        need(
            "server-state-unknown", "the site can tell whether the server runs", known, server.home,
            "correct `control`, or run the site as the account of the server", needs_dump,
        )  # fmt: skip
    except AegisError as error:
        found.append(_lacks(error.code, "the site may work as the account of the server", subject, error, needs_dump))
    return found
