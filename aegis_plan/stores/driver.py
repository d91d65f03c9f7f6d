"""The acting half of a store: what a site calls on a driver. Drivers are found by `stores/drivers.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from aegis_plan.actions.contract import Action, Context
from aegis_plan.stores.contract import Checked, Looked, Source


class Driver(Protocol):
    """One kind of store at a site."""

    engine: str

    def look(self, context: Context, store: str, member: str) -> Looked:
        """Looks at one member, changing nothing; never raises for a server that is down or refuses."""

    def check(self, context: Context, store: str, member: str) -> Checked:
        """What this member lacks for all that is declared of its store, with the way to it; changes nothing, and never
        raises for a server that is down or refuses."""

    def source(self, context: Context, params: Mapping[str, Any]) -> Source:
        """Begins a backup for the parameters of a `backup` step. Raises AegisError before the first byte where the
        backup cannot be taken as asked."""

    def actions(self) -> Mapping[str, Action]:
        """The engine's own kinds of steps by name: `stage`, `replay`, `swap`, `archive-log` and so on."""
