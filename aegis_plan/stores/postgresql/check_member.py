"""What a member lacks for all that is declared of its store: login, grants, settings, and its host. It changes
nothing."""

from __future__ import annotations

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.requirement import Requirement, unverified
from aegis_plan.stores.contract import Checked
from aegis_plan.stores.postgresql import check, command_line
from aegis_plan.stores.postgresql.check_host import host
from aegis_plan.stores.postgresql.check_login import hba_on_host, party, refused_login
from aegis_plan.stores.postgresql.check_server import Seen, Server, could_not_ask
from aegis_plan.stores.postgresql.connection import LoginRefusedError, connect, connection_string

_ALL = ("full", "incremental", "log", "stream")


def check_member(context: Context, store: str, member: str) -> Checked:
    """Never raises for a server that is down or refuses: that is what it tells."""
    declared, subject = context.declared.stores[store], f"stores/{store}/{member}"
    found: list[Requirement] = []
    try:
        server = check.server(declared, member)
    except AegisError as error:
        return Checked((*found, unverified(error.code, "the server's fields make sense", error, subject)))
    data = server.data_directory if server is not None else ""
    seen = _server(context, store, member, hba_on_host(server), data, found)
    if server is not None:
        found += host(server, seen, declared.keep_old_data, subject)
    else:
        found.append(
            Requirement(
                code="server-not-declared",
                state="missing",
                severity="warning",
                subject=subject,
                summary="the documents say where the server lives",
                needed_for=("restore",),
                detail="without `server` the store is restored beside only",
                hint="add data_directory and binaries",
            )
        )
    return Checked(tuple(found), read=seen.read, size=seen.size)


def _server(context: Context, store: str, member: str, hba_file: str, data: str, found: list[Requirement]) -> Seen:
    declared, subject, where = context.declared.stores[store], f"stores/{store}/{member}", f"{store}/{member}"
    try:
        text = connection_string(context, store, member)
        who = party(text)
    except AegisError as error:
        found.append(
            Requirement(
                code=error.code,
                state="missing",
                summary="the connection can be read at its site",
                subject=subject,
                needed_for=_ALL,
                detail=error.detail,
                hint=error.hint,
            ),
        )
        found.append(could_not_ask(error, subject, _ALL))
        return Seen()
    asked: Server | None = None
    try:
        # The statements are short; a server that hangs must not hold up all others.
        with connect(text, where, context.check, options="-c statement_timeout=5000") as sql:
            backup = declared.backup
            named = backup.from_member if backup is not None else None
            asked = Server(sql, text, who, where, subject, store, backup, named in (None, member), context.check)
            asked.seen.hba_file = hba_file
            if named is None:
                asked.read = _primary(asked)
            asked.seen.read = asked.read
            asked.look()
            asked.seen.command_line = command_line.told(sql, where)
    except LoginRefusedError as error:
        if asked is None:
            outside = bool(hba_file) and not hba_file.startswith(data.rstrip("/") + "/")
            found.append(refused_login(error, who, hba_file, outside, subject))
            found.append(could_not_ask("it can be asked once the login works", subject, _ALL))
            return Seen()
        found += [*asked.found, could_not_ask(error, subject, asked.kinds)]
        return asked.seen
    except AegisError as error:
        if error.code == "database-missing":
            found.append(
                Requirement(
                    code=error.code,
                    state="missing",
                    summary="the database of the connection exists",
                    subject=subject,
                    needed_for=_ALL,
                    detail=error.detail,
                    hint=error.hint,
                )
            )
        found += [*(asked.found if asked is not None else ()), could_not_ask(error, subject, _ALL)]
        return asked.seen if asked is not None else Seen()
    found.append(Requirement(code="login-refused", state="ok", summary=f"{who.role} may log in", subject=subject))
    found += asked.found
    return asked.seen


def _primary(asked: Server) -> bool:
    """Backups are read from the primary unless the documents name a member."""
    from aegis_plan.stores.postgresql.connection import ask

    return not ask(asked.sql, "SELECT pg_is_in_recovery()", asked.where)[0][0]
