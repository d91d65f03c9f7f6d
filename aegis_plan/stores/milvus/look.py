"""Looks at one member: by its own protocol, or, of a Milvus Lite file, without opening it. Changes nothing."""

from __future__ import annotations

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.stores.contract import Looked
from aegis_plan.stores.milvus import lite
from aegis_plan.stores.milvus.collection import names
from aegis_plan.stores.milvus.connection import connect
from aegis_plan.stores.milvus.lineage import lineage_of, lite_lineage
from aegis_plan.stores.milvus.model import Look, Server


def look(context: Context, store: str, member: str) -> Looked:
    """What is seen of the member; never raises for a server that is down or refuses."""
    declared = context.declared.stores[store].members[member]
    fields = Server.model_validate(declared.server)
    try:
        if fields.mode == "lite":
            return _file(context.secrets.text(declared.connection))
        with connect(context, store, member) as server:
            found = names(server)
            seen = Look(
                version=server.version,
                lite=server.lite,
                collections=len(found),
                missing=len(set(fields.collections) - set(found)),
            )
            lineage = lineage_of(context, store, member, server)
    except AegisError as error:
        return Looked("unreachable", str(error))
    return Looked("primary", "", lineage, seen.model_dump(mode="json"))


def _file(path: str) -> Looked:
    if not lite.is_database(path):
        return Looked("stopped", "there is no Milvus Lite database at its path", None, Look(lite=True).model_dump())
    seen = Look(version=lite.installed(), lite=True, locked=lite.is_open(path))
    return Looked("primary", "", lite_lineage(path), seen.model_dump(mode="json"))
