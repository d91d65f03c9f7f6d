"""Looks at one member: by Bolt, and at its data where that is on this host. Changes nothing."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.stores.contract import Looked
from aegis_plan.stores.neo4j import control
from aegis_plan.stores.neo4j.connection import ask, names, opened, server_of
from aegis_plan.stores.neo4j.model import Look
from aegis_plan.stores.neo4j.place import layout, read_note

if TYPE_CHECKING:
    from neo4j import Driver

_SECONDS = 4.0


def lineage_of(driver: Driver, database: str, where: str) -> str:
    """The database's own id, which a dump keeps and an empty database gets anew."""
    return str(ask(driver, database, "CALL db.info() YIELD id", where)[0][0]).lower()[:32]


def look(context: Context, store: str, member: str) -> Looked:
    """What is seen of the member; never raises for a server that is down or refuses."""
    where = f"{store}/{member}"
    server = server_of(context, store, member)
    database = names(server)[0]
    seen: dict[str, Any] = {}
    if server is not None:
        with contextlib.suppress(AegisError, OSError):
            where_data = layout(server)
            seen.update(_place(where_data))
    try:
        with opened(context, store, member, _SECONDS) as driver:
            versions, edition = ask(driver, database, "CALL dbms.components() YIELD versions, edition", where)[0]
            seen.update(version=str(versions[0]), edition=str(edition))
            lineage = lineage_of(driver, database, where)
            seen["nodes"] = ask(driver, database, "MATCH (n) RETURN count(n)", where)[0][0]
            seen["relationships"] = ask(driver, database, "MATCH ()-[r]->() RETURN count(r)", where)[0][0]
            with contextlib.suppress(AegisError):
                seen["store_format"] = ask(
                    driver, "system", "SHOW DATABASES YIELD name, store WHERE name = $name RETURN store", where,
                    name=database,
                )[0][0]  # fmt: skip
        return Looked("primary", "", lineage, Look.model_validate(seen).model_dump(mode="json"))
    except AegisError as error:
        reason = str(error)
    details = Look.model_validate(seen).model_dump(mode="json")
    if server is not None and seen.get("data_directory") in ("readable", "empty", "missing"):
        with contextlib.suppress(AegisError):
            if control.status(server) == "stopped":
                return Looked("stopped", reason, None, details)
            reason += "; a server runs on its data"
    return Looked("unreachable", reason, None, details)


def _place(where: Any) -> dict[str, Any]:
    if not where.data.parent.is_dir():
        return {"data_directory": "elsewhere"}
    there = where.data if where.data.is_dir() else where.data.parent
    free = os.statvfs(there)
    seen: dict[str, Any] = {"free_bytes": free.f_bavail * free.f_frsize, "data_directory": "missing"}
    if where.databases.is_dir():
        seen["data_directory"] = "readable" if any(where.databases.iterdir()) else "empty"
        seen["used_bytes"] = sum(
            entry.stat().st_size for entry in where.databases.rglob("*") if entry.is_file() and not entry.is_symlink()
        )
    note = read_note(where.staging)
    if where.staging.exists():
        seen["leftovers"] = str((note or {}).get("run") or "unknown")
    return seen
