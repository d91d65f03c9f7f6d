"""What is wrong with the PostgreSQL fields of a store as declared; sense only, nothing of the world is looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from pydantic import ValidationError

from aegis_plan.documents.model import Store
from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql.model import Server

Problem = tuple[tuple[str | int, ...], str, str]
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
        yield ("preferred",), f"no member is called '{store.preferred}'", _near(store.preferred, list(store.members))
    backup = store.backup
    if backup is None:
        return
    if backup.from_member is not None and backup.from_member not in store.members:
        yield (
            ("backup", "from_member"),
            f"no member is called '{backup.from_member}'",
            _near(backup.from_member, list(store.members)),
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
    try:
        server = Server.model_validate(fields)
    except ValidationError as error:
        seen: set[tuple[str | int, ...]] = set()
        for problem in error.errors(include_url=False, include_input=False):
            variant = isinstance(fields.get("control"), dict) and problem["loc"] == ("control", "str")
            path = tuple(part for part in problem["loc"] if part not in ("str", "Control"))
            if path in seen or variant:
                continue
            seen.add(path)
            message, hint = problem["msg"], ""
            if problem["type"] == "extra_forbidden":
                message = f"'{path[-1]}' is no field of a PostgreSQL server"
                hint = _near(str(path[-1]), list(Server.model_fields))
            elif problem["type"] == "missing":
                message, hint = f"'{path[-1]}' is missing", "a restore needs it to know where and as whom to run"
            yield ("members", member, "server", *path), message, hint
        return
    for field in ("data_directory", "binaries"):
        if not getattr(server, field).startswith("/"):
            yield (
                ("members", member, "server", field),
                "not an absolute path",
                "a restore runs on that host; begin with /",
            )
    if isinstance(server.control, str) and server.control != "pg_ctl" and not server.control.startswith("systemd:"):
        yield (
            ("members", member, "server", "control"),
            "not a way to control a server",
            "write pg_ctl, systemd:UNIT, or start, stop and status commands",
        )


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


def _near(word: str, known: list[str]) -> str:
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
