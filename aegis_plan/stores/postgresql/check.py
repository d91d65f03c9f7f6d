"""What is wrong with the PostgreSQL fields of a store as declared; sense only, nothing of the world is looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import ValidationError

from aegis_plan.documents.model import Store
from aegis_plan.errors import AegisError
from aegis_plan.stores.fields import Problem, control_problem, fields_problems, near
from aegis_plan.stores.postgresql.model import Server

_SLOT = re.compile(r"[a-z0-9_]{1,63}")


def problems(name: str, store: Store) -> Iterator[Problem]:
    """Path within the store, message, hint."""
    if not store.members:
        yield ("members",), "a PostgreSQL store needs at least one member", "name its server below 'members'"
    for member, declared in store.members.items():
        if not declared.connection:
            yield (
                ("members", member),
                "this member has no connection",
                'add connection: "${env:NAME}" with a libpq connection string',
            )
        if declared.server:
            yield from _server(member, declared.server)
    if store.preferred is not None and store.preferred not in store.members:
        yield ("preferred",), f"no member is called '{store.preferred}'", near(store.preferred, list(store.members))
    backup = store.backup
    if backup is None:
        return
    if backup.from_member is not None and backup.from_member not in store.members:
        yield (
            ("backup", "from_member"),
            f"no member is called '{backup.from_member}'",
            near(backup.from_member, list(store.members)),
        )
    if backup.incremental is not None and backup.full is None:
        yield ("backup", "incremental"), "an incremental builds on a full, and no full is declared", "add backup.full"
    if backup.log is not None and backup.log.slot is not None and not _SLOT.fullmatch(backup.log.slot):
        yield (
            ("backup", "log", "slot"),
            "not a name of a replication slot",
            "use lower-case letters, digits and '_', at most 63",
        )


def _server(member: str, fields: dict[str, object]) -> Iterator[Problem]:
    refused = tuple(fields_problems(member, fields, Server, "PostgreSQL"))
    yield from refused
    if refused:
        return
    server = Server.model_validate(fields)
    for field in ("data_directory", "binaries"):
        if not getattr(server, field).startswith("/"):
            yield (
                ("members", member, "server", field),
                "not an absolute path",
                "a restore runs on that host; begin with /",
            )
    for major, folder in server.other_binaries.items():
        if not major.isdigit() or not folder.startswith("/"):
            yield (
                ("members", member, "server", "other_binaries", major),
                "not a major version with an absolute path",
                'write it as {"15": /usr/lib/postgresql/15/bin}',
            )
    yield from control_problem(member, server.control, "pg_ctl")


def server(store: Store, member: str) -> Server | None:
    """The server fields of a member, or None where none are declared.

    Raises AegisError `server-invalid` when they make no sense."""
    fields = store.members[member].server
    if not fields:
        return None
    try:
        return Server.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise AegisError(
            "server-invalid",
            "the server fields of a member make no sense",
            f"member {member}: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}",
            "see 'aegis help postgresql' for the fields of a server",
        ) from None
