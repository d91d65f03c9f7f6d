"""The acting half of PostgreSQL at a site. Modules that act are loaded when they are first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from aegis_plan.actions.contract import Action, Context
from aegis_plan.stores.contract import Checked, Looked
from aegis_plan.stores.postgresql.basebackup import Source
from aegis_plan.stores.postgresql.model import BackupParams, StreamParams

_HOMES = {
    "stage": "stage:ACTION",
    "prove": "prove:ACTION",
    "clear-place": "clear:ACTION",
    "move-away": "move_away:ACTION",
    "archive-tail": "tail:ACTION",
    "replay": "replay:ACTION",
    "stop-server": "server:STOP",
    "start-server": "server:START",
    "swap": "swap:ACTION",
    "accept": "accept:ACTION",
    "create-slot": "slot:ACTION",
    "archive-log": "log:ACTION",
}


class _Actions(Mapping[str, Action]):
    def __getitem__(self, kind: str) -> Action:
        module, _, name = _HOMES[kind].partition(":")
        found: Action = getattr(import_module(f"aegis_plan.stores.postgresql.{module}"), name)
        return found

    def __iter__(self) -> Any:
        return iter(_HOMES)

    def __len__(self) -> int:
        return len(_HOMES)


class PostgresqlDriver:
    """See `stores.driver.Driver`."""

    engine = "postgresql"

    def look(self, context: Context, store: str, member: str) -> Looked:
        from aegis_plan.stores.postgresql.look import look

        return look(context, store, member)

    def check(self, context: Context, store: str, member: str) -> Checked:
        from aegis_plan.stores.postgresql.check_member import check_member

        return check_member(context, store, member)

    def source(self, context: Context, params: Mapping[str, Any]) -> Source:
        return Source(context, BackupParams.model_validate(dict(params)))

    def actions(self) -> Mapping[str, Action]:
        return _Actions()

    def stream(self, context: Context, params: Mapping[str, Any]) -> None:
        """Streams the log until `context.check` raises."""
        from aegis_plan.stores.postgresql.stream import stream

        stream(context, StreamParams.model_validate(dict(params)))


DRIVER = PostgresqlDriver()
