"""Where a restore of Milvus puts its collections: new names on a member, or a Milvus Lite file of its own beside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aegis_plan.actions.contract import Context
from aegis_plan.stores.milvus import lite, staged
from aegis_plan.stores.milvus.connection import NO_DATABASE, Connection, RefusedError, connect, pairs
from aegis_plan.stores.milvus.model import LoadParams, Server


@dataclass(frozen=True)
class Goal:
    """A server with the names that restored collections have there."""

    server: Connection
    run: str
    alone: bool
    """A file of its own: collections have their own names at once."""

    def name(self, name: str) -> str:
        return name if self.alone else staged.new_name(name, self.run)


def file_beside(path: str) -> str:
    """Where the file of a restore beside lies: clients know Milvus Lite by the ending."""
    return path if path.endswith(".db") else str(Path(path) / "milvus.db")


def open_goal(context: Context, params: LoadParams, *, create: bool = False) -> Goal:
    """Opens it; with `create` a file that is not there yet is made."""
    fields = Server.model_validate(context.declared.stores[params.store].members[params.member].server)
    alone = params.beside is not None and fields.mode == "lite"
    path = file_beside(params.beside) if params.beside is not None and alone else None
    if create and path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    server = connect(context, params.store, params.member, path=path, create=create)
    return Goal(server, context.attempt.run, alone)


def there(context: Context, params: LoadParams) -> bool:
    """Whether there is anything that could hold restored data."""
    fields = Server.model_validate(context.declared.stores[params.store].members[params.member].server)
    if fields.mode != "lite":
        return True
    declared = context.declared.stores[params.store].members[params.member].connection
    path = file_beside(params.beside) if params.beside is not None else context.secrets.text(declared)
    return lite.is_database(path)


def make_database(server: Connection, properties: dict[str, str]) -> bool:
    """Makes the database where it is not there; says whether it did."""
    if server.database in ("", "default"):
        return False
    try:
        found = server.call("ListDatabases", "ListDatabasesRequest").db_names
        if server.database in found:
            return False
    except RefusedError as error:
        if error.number not in NO_DATABASE:
            raise
    server.call("CreateDatabase", "CreateDatabaseRequest", db_name=server.database, properties=pairs(properties))
    return True
