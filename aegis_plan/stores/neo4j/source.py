"""Which way a backup of a member is taken: as its documents say, and no other way in silence."""

from __future__ import annotations

from aegis_plan.actions.contract import Context
from aegis_plan.stores.contract import Source
from aegis_plan.stores.neo4j.connection import server_of
from aegis_plan.stores.neo4j.model import BackupParams


def source(context: Context, params: BackupParams) -> Source:
    """Begins the backup. Raises AegisError where it cannot be taken as declared."""
    server = server_of(context, params.store, params.member)
    if server is not None and server.backup_by == "dump":
        from aegis_plan.stores.neo4j.dump import DumpSource

        return DumpSource(context, params)
    from aegis_plan.stores.neo4j.export import ExportSource

    return ExportSource(context, params)
