"""Sessions with a Neo4j server, and what its refusals mean in our words. No text of it ever holds a password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.stores.neo4j.model import Server

if TYPE_CHECKING:
    from neo4j import Driver

SYSTEM = "system"


class LoginRefusedError(AegisError):
    """The server does not take user or password."""


def server_of(context: Context, store: str, member: str) -> Server | None:
    """The `server` section of a member, where there is one."""
    found = context.declared.stores[store].members[member].server
    return Server.model_validate(found) if found else None


def declared_server(context: Context, store: str, member: str) -> Server:
    """The `server` section of a member. Raises AegisError `server-not-declared`."""
    found = server_of(context, store, member)
    if found is None:
        raise AegisError(
            "server-not-declared",
            "the documents do not say where this server lives",
            f"store {store}, member {member} has no `server` section",
            "give its `server` a home",
        )
    return found


def names(server: Server | None) -> tuple[str, ...]:
    """The databases that are backed up."""
    return server.databases if server is not None else ("neo4j",)


@contextmanager
def speaking(where: str) -> Iterator[None]:
    """Turns what the driver raises into our errors."""
    from neo4j import exceptions

    try:
        yield
    except exceptions.AuthError as error:
        raise LoginRefusedError(
            "login-refused",
            "the server refused the login",
            f"{where}: {str(error.code or '').rpartition('.')[2]}",
            "check `user` and `password` of the member's server",
        ) from None
    except (exceptions.ServiceUnavailable, exceptions.SessionExpired, OSError) as error:
        raise UnavailableError(
            "server-unreachable",
            "the server cannot be reached",
            f"{where}: {_short(error)}",
            "check host, port and network",
        ) from None
    except (exceptions.Neo4jError, exceptions.DriverError) as error:
        code = getattr(error, "code", None) or type(error).__name__
        if "DatabaseNotFound" in str(code):
            raise AegisError(
                "database-missing", "the server has no such database", where, "name one that exists in `databases`"
            ) from None
        raise AegisError(
            "server-refused",
            "the server refused a request",
            f"{where}: {code}: {_short(error)}",
            "see the server's log",
        ) from None


def _short(error: BaseException) -> str:
    if "Connection refused" in str(error):
        return "nothing listens there"
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


@contextmanager
def opened(context: Context, store: str, member: str, timeout: float = 15.0) -> Iterator[Driver]:
    """A driver for a member, by its connection. Raises as `speaking`, and AegisError `secret-unresolved`."""
    declared = context.declared.stores[store].members[member]
    server = server_of(context, store, member)
    address = context.secrets.text(declared.connection)
    password = context.secrets.text(server.password) if server is not None else ""
    user = server.user if server is not None else ""
    with connected(address, user, password, f"{store}/{member}", timeout) as driver:
        yield driver


@contextmanager
def connected(address: str, user: str, password: str, where: str, timeout: float = 15.0) -> Iterator[Driver]:
    """A driver for an address that answered a login. Raises as `speaking`, AegisError `connection-malformed`."""
    from neo4j import GraphDatabase
    from neo4j.exceptions import ConfigurationError

    try:
        driver = GraphDatabase.driver(
            address,
            auth=(user, password) if password else None,
            connection_timeout=timeout,
            connection_acquisition_timeout=timeout * 2,
            max_transaction_retry_time=0,
            keep_alive=True,
            notifications_min_severity="OFF",
            telemetry_disabled=True,
            user_agent="aegis-plan",
        )
    except (ConfigurationError, ValueError):
        raise AegisError(
            "connection-malformed",
            "a connection string cannot be read",
            f"{where}: it is no address of Bolt",
            "write bolt://HOST:7687",
        ) from None
    with driver:
        with speaking(where):
            driver.verify_connectivity()
        yield driver


def ask(driver: Driver, database: str, query: str, where: str, **values: Any) -> list[list[Any]]:
    """Runs one statement of few rows. Raises as `speaking`."""
    with speaking(where), driver.session(database=database) as session:
        return [list(record.values()) for record in session.run(query, values)]


def language(driver: Driver, database: str, where: str) -> str:
    """What begins a statement that needs the older language, where the server has a newer one that may be its default:
    ids of nodes are numbers only there."""
    version = str(ask(driver, database, "CALL dbms.components() YIELD versions", where)[0][0][0])
    return "CYPHER 5 " if version.split(".")[0].isdigit() and int(version.split(".")[0]) > 5 else ""
