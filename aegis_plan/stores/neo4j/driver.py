"""The acting half of Neo4j at a site. Modules that act are loaded when they are first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from aegis_plan.actions.contract import Action, Context
from aegis_plan.stores.contract import Checked, Looked, Source
from aegis_plan.stores.neo4j.model import BackupParams

_HOMES = {
    "stage": "stage:ACTION",
    "load": "load:ACTION",
    "stop-server": "server:STOP",
    "start-server": "server:START",
    "swap": "swap:ACTION",
    "accept": "accept:ACTION",
}


class _Actions(Mapping[str, Action]):
    def __getitem__(self, kind: str) -> Action:
        module, _, name = _HOMES[kind].partition(":")
        found: Action = getattr(import_module(f"aegis_plan.stores.neo4j.{module}"), name)
        return found

    def __iter__(self) -> Any:
        return iter(_HOMES)

    def __len__(self) -> int:
        return len(_HOMES)


class Neo4jDriver:
    """See `stores.driver.Driver`."""

    engine = "neo4j"

    def look(self, context: Context, store: str, member: str) -> Looked:
        from aegis_plan.stores.neo4j.look import look

        return look(context, store, member)

    def check(self, context: Context, store: str, member: str) -> Checked:
        from aegis_plan.stores.neo4j.check_member import check_member

        return check_member(context, store, member)

    def source(self, context: Context, params: Mapping[str, Any]) -> Source:
        from aegis_plan.stores.neo4j.source import source

        return source(context, BackupParams.model_validate(dict(params)))

    def actions(self) -> Mapping[str, Action]:
        return _Actions()


DRIVER = Neo4jDriver()
