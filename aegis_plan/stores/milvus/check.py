"""What is wrong with the Milvus fields of a store as declared; sense only, nothing of the world is looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aegis_plan.documents.model import Store
from aegis_plan.stores.fields import Problem, control_problem, fields_problems, whole_only, written_secret
from aegis_plan.stores.milvus.model import Server

_ADDRESS = re.compile(r"https?://\S+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


def problems(store: Store) -> Iterator[Problem]:
    """Path within the store, message, hint."""
    if not store.members:
        yield ("members",), "a Milvus store needs at least one member", "name its server below 'members'"
    for member, declared in store.members.items():
        refused = tuple(fields_problems(member, declared.server, Server, "Milvus"))
        yield from refused
        server = Server() if refused else Server.model_validate(declared.server)
        yield from _connection(member, declared.connection, server.mode == "lite")
        if not refused:
            yield from _server(member, server)
    yield from whole_only(store, "Milvus")
    if store.keep_old_data not in ("beside", "no"):
        yield (
            ("keep_old_data",),
            "Milvus keeps old collections where they are, or not at all",
            "write beside or no",
        )


def _connection(member: str, connection: str, lite: bool) -> Iterator[Problem]:
    if not connection:
        yield (
            ("members", member),
            "this member has no connection",
            "write the path of its file" if lite else "write http://HOST:19530, or a reference such as ${env:NAME}",
        )
    elif lite and not connection.startswith(("/", "${")):
        yield ("members", member, "connection"), "not an absolute path", "Milvus Lite is a file; begin with /"
    elif not lite and not connection.startswith("${") and not _ADDRESS.fullmatch(connection):
        yield (
            ("members", member, "connection"),
            "not an address of Milvus",
            "write http://HOST:19530, or a reference such as ${env:NAME}; a file needs 'mode: lite' below 'server'",
        )


def _server(member: str, server: Server) -> Iterator[Problem]:
    yield from control_problem(member, server.control, "")
    yield from written_secret(member, "token", server.token)
    if not all(_NAME.fullmatch(name) for name in server.collections):
        yield (
            ("members", member, "server", "collections"),
            "not the name of a collection",
            "names have letters, digits and '_', and begin with no digit",
        )
