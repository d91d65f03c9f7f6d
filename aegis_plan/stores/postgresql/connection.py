"""Ordinary SQL connections to a member, and what their failures mean. No text of libpq, which may hold a connection
string, ever leaves this module."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError, UnavailableError

CONNECT_SECONDS = 4
_Given = TypeVar("_Given")


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose every wait for the server can be ended: a server that stopped answering must not hold up
    Ctrl-C, and TCP alone would wait for hours."""

    check: Callable[[], None] | None = None
    """Asked ten times a second while waiting; what it raises ends the wait and leaves the connection unusable."""

    def wait(self, gen: Generator[Any, Any, _Given], *rest: Any, **more: Any) -> _Given:
        return super().wait(gen if self.check is None else _watched(gen, self.check), *rest, **more)


def _watched(waiting: Generator[Any, Any, _Given], check: Callable[[], None]) -> Generator[Any, Any, _Given]:
    try:
        state = next(waiting)
        while True:
            ready = yield state
            check()
            state = waiting.send(ready)
    except StopIteration as end:
        given: _Given = end.value
        return given


_LOGIN = re.compile(
    r"password authentication failed|no password supplied|role \"[^\"]*\" does not exist|authentication failed"
    r"|pg_hba\.conf rejects|not permitted to log in"
)
_DATABASE = re.compile(r"database \"[^\"]*\" does not exist")
_REPLICATION = re.compile(
    r"no pg_hba\.conf entry for replication|pg_hba\.conf rejects replication|must be superuser or replication"
    r"|REPLICATION attribute"
)


def connection_string(context: Context, store: str, member: str) -> str:
    """The member's connection string with its secrets in it; it may go nowhere but to libpq."""
    return context.secrets.text(context.declared.stores[store].members[member].connection)


def prepared(text: str, **options: Any) -> str:
    """The connection string with our own options added. Raises AegisError `connection-malformed`."""
    try:
        if not {"dbname", "service"} & conninfo.conninfo_to_dict(text).keys():
            # libpq would take a database of the role's own name, which a role made for backups does not have.
            options = {"dbname": "postgres", **options}
        return conninfo.make_conninfo(
            text, **{"connect_timeout": CONNECT_SECONDS, "application_name": "aegis", **options}
        )
    except psycopg.Error:
        raise AegisError(
            "connection-malformed",
            "a connection string cannot be read",
            "it is neither a list of keyword=value pairs nor a postgresql:// address",
            "correct the member's `connection` or what its secret reference gives",
        ) from None


class LoginRefusedError(AegisError):
    """`login-refused` or `replication-not-allowed`, with its cause in a word."""

    def __init__(self, code: str, summary: str, where: str, cause: str, hint: str) -> None:
        super().__init__(code, summary, f"{where}: {CAUSES[cause]}" if CAUSES[cause] else where, hint)
        self.cause = cause


CAUSES = {
    "no-line": "no line of pg_hba.conf lets it in",
    "rejected": "a line of pg_hba.conf rejects it",
    "password": "there is no such role, or its password is another",
    "no-password": "the server asks for a password, and the connection gives none",
    "no-role": "the server has no such role",
    "peer": "the server asks the system who connects, and that is another user",
    "no-login": "the role may not log in",
    "attribute": "the role has no REPLICATION",
    "other": "",
}
"""Why a server let nobody in, as far as it said."""


def _cause(message: str) -> str:
    for cause, pattern in (
        ("no-line", r"no pg_hba\.conf entry"),
        ("rejected", r"pg_hba\.conf rejects"),
        ("attribute", r"must be superuser or replication|REPLICATION attribute"),
        ("no-role", r"role \"[^\"]*\" does not exist"),
        ("no-login", r"not permitted to log in"),
        ("no-password", r"no password supplied"),
        ("password", r"password authentication failed"),
        ("peer", r"(?i)(peer|ident) authentication failed"),
    ):
        if re.search(pattern, message):
            return cause
    return "other"


def refused(message: str, where: str) -> AegisError:
    """What a failed connection means; `message` is libpq's and is only matched, never passed on."""
    if _REPLICATION.search(message):
        return LoginRefusedError(
            "replication-not-allowed",
            "the server does not let this role replicate",
            where,
            _cause(message),
            "ALTER ROLE ... REPLICATION, and a line `host replication <role> <address> scram-sha-256` in pg_hba.conf",
        )
    if "no pg_hba.conf entry" in message or _LOGIN.search(message):
        return LoginRefusedError(
            "login-refused",
            "the server refused the login",
            where,
            _cause(message),
            "check the role, its password and pg_hba.conf of the server",
        )
    if "unsupported startup parameter" in message:
        return pooler(where)
    if re.search(r"expected authentication request|invalid response to SSL|unsupported frontend protocol", message):
        return AegisError(
            "not-postgresql",
            "something answers there that is no PostgreSQL",
            where,
            "correct host and port; it may be the port of another program",
        )
    if "definition of service" in message:
        return AegisError(
            "connection-malformed",
            "a connection string cannot be read",
            f"{where}: no service file defines the service that it names",
            "define it in pg_service.conf or ~/.pg_service.conf of the account that connects",
        )
    if _DATABASE.search(message):
        return AegisError(
            "database-missing",
            "the server has no such database",
            where,
            "name one that exists with `dbname=` in `connection`",
        )
    if re.search(r"starting up|shutting down|not yet accepting|recovery mode", message):
        return UnavailableError("server-starting", "the server is starting or stopping", where, "try again shortly")
    if re.search(r"too many (clients|connections)|remaining connection slots|max_wal_senders", message):
        return UnavailableError(
            "server-full", "the server takes no more connections", where, "raise max_connections or max_wal_senders"
        )
    if re.search(r"could not translate host name|failed to resolve host", message):
        return UnavailableError(
            "server-unreachable", "the server cannot be reached", f"{where}: no host has that name", "correct the host"
        )
    reason = "nothing listens there" if "Connection refused" in message or "No such file" in message else "no answer"
    return UnavailableError(
        "server-unreachable", "the server cannot be reached", f"{where}: {reason}", "check host, port and network"
    )


def pooler(where: str) -> AegisError:
    """The error of a connection that ends at a pooler."""
    return AegisError(
        "pooler-in-between",
        "a connection pooler answers in place of the server",
        f"{where}: sessions go through a pooler such as PgBouncer, which carries no replication",
        "name host and port of the server itself",
    )


def connect(text: str, where: str, check: Callable[[], None] | None = None, **options: Any) -> Connection:
    """Opens a connection in autocommit mode; `where` names store and member for messages, `check` may end any wait by
    raising.

    Raises UnavailableError `server-unreachable`, `server-starting`, `server-full`, AegisError `login-refused`,
    `database-missing`, `connection-malformed`."""
    ready = prepared(text, **options)
    try:
        opened = Connection.connect(ready, autocommit=True)
    except psycopg.Error as error:
        raise refused(str(error), where) from None
    opened.check = check
    return opened


def ask(connection: Connection, query: str, where: str) -> list[tuple[Any, ...]]:
    """Runs one statement. Raises UnavailableError `server-lost`, AegisError `server-refused`."""
    try:
        return connection.execute(query.encode()).fetchall()
    except psycopg.Error as error:
        if error.sqlstate is None or error.sqlstate.startswith(("08", "57P")):
            raise UnavailableError(
                "server-lost", "the connection to the server broke", where, "it is tried again on resume"
            ) from None
        said = error.diag.message_primary or ""
        raise AegisError(
            "server-refused", "the server refused a request", f"{where}: {said} ({error.sqlstate})", ""
        ) from None
