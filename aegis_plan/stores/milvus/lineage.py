"""Which history a Milvus has. It has no id of its own: a server is told by when its default database was made, a
Milvus Lite file by when its lock file was.

Both last as long as the data does, and a new server or file under an old name has another.
"""

from __future__ import annotations

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.stores.milvus import lite
from aegis_plan.stores.milvus.connection import Connection
from aegis_plan.stores.milvus.model import Server


def lineage_of(context: Context, store: str, member: str, server: Connection) -> str:
    """The lineage of who answers. `milvus-unnamed` where it does not say when it was made, as when a user may not
    list databases."""
    declared = context.declared.stores[store].members[member]
    fields = Server.model_validate(declared.server)
    if fields.mode == "lite":
        return lite_lineage(context.secrets.text(declared.connection))
    try:
        found = server.call("ListDatabases", "ListDatabasesRequest", seconds=10.0)
    except AegisError as error:
        if error.code not in ("milvus-refused", "milvus-login-refused"):
            raise
        return "milvus-unnamed"
    made = dict(zip(found.db_names, found.created_timestamp, strict=False))
    born = made.get("default") or min(made.values(), default=0)
    return f"milvus-{born:x}" if born else "milvus-unnamed"


def lite_lineage(path: str) -> str:
    return f"lite-{lite.born(path):x}"
