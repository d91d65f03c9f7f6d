"""What planners, lint and documents know of Neo4j. Pure: it opens nothing and reads no clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.retention import Bonds
from aegis_plan.documents.model import Store
from aegis_plan.stores.contract import Ask, Candidate, Exposure, Modes, Recipe, StoreSpec, Target, Window
from aegis_plan.stores.neo4j import check


class Neo4jSpec:
    """The pure half of the Neo4j driver."""

    engine = "neo4j"
    modes = Modes(incremental=False, log=False, consistency="exact", restore_stops_server=True)
    built = True

    def check(self, name: str, store: Store) -> Sequence[tuple[tuple[str | int, ...], str, str]]:
        return tuple(check.problems(store))

    def protect(self, ask: Ask) -> Recipe:
        from aegis_plan.stores import whole
        from aegis_plan.stores.neo4j import recipe

        if ask.store.backup is None:
            return whole.undeclared(ask, "warning")
        due = whole.full_due(ask)
        return recipe.backup_recipe(ask, due) if due else Recipe()

    def backup(self, ask: Ask, method: Literal["full", "incremental", "log"]) -> Recipe:
        from aegis_plan.stores import whole
        from aegis_plan.stores.neo4j import recipe

        if ask.store.backup is None:
            return whole.undeclared(ask, "error")
        return recipe.backup_recipe(ask, "asked for" if method == "full" else f"Neo4j has no {method}; a full is taken")

    def recover(self, ask: Ask, target: Target, *, member: str | None, beside: str | None) -> Recipe:
        from aegis_plan.stores.neo4j import recipe

        return recipe.recover_recipe(ask, target, member, beside)

    def candidates(self, ask: Ask) -> Sequence[Candidate]:
        return ()

    def fail_over(self, ask: Ask, member: str) -> Recipe:
        return Recipe()

    def points(self, shelf: Shelf) -> Sequence[Window]:
        from aegis_plan.stores import whole

        return whole.windows(shelf)

    def exposure(self, ask: Ask) -> Exposure:
        from aegis_plan.stores import whole

        return whole.exposure(ask)

    def bonds(self, shelf: Shelf) -> Bonds:
        return Bonds()


SPEC: StoreSpec = Neo4jSpec()
