"""Finds the action of a kind. Kinds that are an engine's own go to the driver of the store they are about."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from aegis_plan.actions.contract import Action
from aegis_plan.documents.model import Documents
from aegis_plan.errors import AegisError

_GENERAL = {
    "look-site": "look:LookSite",
    "look-store": "look:LookStore",
    "look-service": "look:LookService",
    "look-needs-site": "check:CheckSite",
    "look-needs-store": "check:CheckStore",
    "look-needs-repository": "check:CheckRepository",
    "try-repository": "check:TryRepository",
    "health": "health:Health",
    "command": "command:Command",
    "manual": "manual:Manual",
    "start-log-stream": "start_log_stream:StartLogStream",
    "stop-log-stream": "stop_log_stream:StopLogStream",
    "backup": "backup:Backup",
    "copy-set": "copy_set:CopySet",
    "clean-up": "clean_up:CleanUp",
    "lock": "lock:Lock",
    "expire": "expire:Expire",
    "prune": "prune:Prune",
    "prune-history": "prune_history:PruneHistory",
    "hold": "hold:Hold",
    "verify": "verify:Verify",
    "publish": "publish:Publish",
    "rewrap": "rewrap:Rewrap",
    "escrow": "escrow:PutEscrow",
}
"""Kind to module and class in this package; loaded when first used."""


def find(kind: str, declared: Documents | Callable[[], Documents], params: Mapping[str, Any]) -> Action:
    """The action of a kind; `declared` may be a function, called only where the engine has to be known.

    Raises AegisError `action-unknown`."""
    if kind in _GENERAL:
        module, _, name = _GENERAL[kind].partition(":")
        try:
            action: Action = getattr(importlib.import_module(f"aegis_plan.actions.{module}"), name)()
        except ModuleNotFoundError as error:
            if error.name != f"aegis_plan.actions.{module}":
                raise
        else:
            return action
    documents = declared() if callable(declared) else declared
    store = documents.stores.get(str(params.get("store", "")))
    if store is not None:
        from aegis_plan.stores.drivers import driver

        found = driver(store.engine).actions().get(kind)
        if found is not None:
            return found
    raise AegisError(
        "action-unknown",
        "this site knows no such kind of step",
        f"'{kind}'" + (f" for a store of engine {store.engine}" if store is not None else ""),
        "see that the same version runs here and where the plan was made",
    )
