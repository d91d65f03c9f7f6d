"""The acting half of Milvus at a site. Modules that act are loaded when they are first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from aegis_plan.actions.contract import Action, Context
from aegis_plan.stores.contract import Checked, Looked, Source

_KINDS = ("stage", "load", "compare", "swap", "accept")
"""Each is the module of its name."""


class _Actions(Mapping[str, Action]):
    def __getitem__(self, kind: str) -> Action:
        if kind not in _KINDS:
            raise KeyError(kind)
        found: Action = import_module(f"aegis_plan.stores.milvus.{kind}").ACTION
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_KINDS)

    def __len__(self) -> int:
        return len(_KINDS)


class MilvusDriver:
    """See `stores.driver.Driver`."""

    engine = "milvus"

    def look(self, context: Context, store: str, member: str) -> Looked:
        from aegis_plan.stores.milvus.look import look

        return look(context, store, member)

    def check(self, context: Context, store: str, member: str) -> Checked:
        from aegis_plan.stores.milvus.check_member import check_member

        return check_member(context, store, member)

    def source(self, context: Context, params: Mapping[str, Any]) -> Source:
        from aegis_plan.stores.milvus.export import Source as Export
        from aegis_plan.stores.milvus.model import BackupParams

        return Export(context, BackupParams.model_validate(dict(params)))

    def actions(self) -> Mapping[str, Action]:
        return _Actions()


DRIVER = MilvusDriver()
