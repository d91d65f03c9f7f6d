"""What is wrong with the Neo4j fields of a store as declared; sense only, nothing of the world is looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aegis_plan.documents.model import Store
from aegis_plan.stores.fields import Problem, control_problem, fields_problems, whole_only, written_secret
from aegis_plan.stores.neo4j.model import Server

_ADDRESS = re.compile(r"(neo4j|bolt)(\+s|\+ssc)?://\S+")
_DATABASE = re.compile(r"[a-z][a-z0-9.-]{2,62}")


def problems(store: Store) -> Iterator[Problem]:
    """Path within the store, message, hint."""
    if not store.members:
        yield ("members",), "a Neo4j store needs at least one member", "name its server below 'members'"
    for member, declared in store.members.items():
        if not declared.connection.startswith("${") and not _ADDRESS.fullmatch(declared.connection):
            yield (
                ("members", member, "connection") if declared.connection else ("members", member),
                "not an address of Bolt" if declared.connection else "this member has no connection",
                "write bolt://HOST:7687, neo4j://HOST:7687, or a reference such as ${env:NAME}",
            )
        if declared.server:
            yield from _server(member, declared.server)
    yield from whole_only(store, "Neo4j")


def _server(member: str, fields: dict[str, object]) -> Iterator[Problem]:
    refused = tuple(fields_problems(member, fields, Server, "Neo4j"))
    yield from refused
    if refused:
        return
    server = Server.model_validate(fields)
    for field in ("home", "configuration", "admin"):
        value = getattr(server, field)
        if value and not value.startswith("/"):
            yield ("members", member, "server", field), "not an absolute path", "it is on that host; begin with /"
    yield from control_problem(member, server.control, "neo4j")
    yield from written_secret(member, "password", server.password)
    if not server.databases:
        yield ("members", member, "server", "databases"), "no database is named", "leave it out, or name one"
    for database in server.databases:
        if database == "system" or not _DATABASE.fullmatch(database):
            yield (
                ("members", member, "server", "databases"),
                "not a database to name here",
                "'system' goes along by itself; names have 3 to 63 lower-case letters, digits, '.' and '-'",
            )
            break
