"""What planners, lint and documents know of PostgreSQL. Pure: it opens nothing and reads no clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.retention import Bonds
from aegis_plan.documents.model import Store
from aegis_plan.stores.contract import Ask, Candidate, Exposure, Modes, Recipe, StoreSpec, Target, Window
from aegis_plan.stores.postgresql import check


class PostgresqlSpec:
    """The pure half of the PostgreSQL driver."""

    engine = "postgresql"
    modes = Modes(incremental=True, log=True, consistency="exact", restore_stops_server=True, failover=True)
    built = True

    def check(self, name: str, store: Store) -> Sequence[tuple[tuple[str | int, ...], str, str]]:
        return tuple(check.problems(name, store))

    def protect(self, ask: Ask) -> Recipe:
        from aegis_plan.stores.postgresql import protect

        return protect.protect(ask)

    def backup(self, ask: Ask, method: Literal["full", "incremental", "log"]) -> Recipe:
        from aegis_plan.stores.postgresql import protect

        return protect.backup(ask, method)

    def recover(self, ask: Ask, target: Target, *, member: str | None, beside: str | None) -> Recipe:
        from aegis_plan.stores.postgresql import recover

        return recover.recover(ask, target, member=member, beside=beside)

    def candidates(self, ask: Ask) -> Sequence[Candidate]:
        from aegis_plan.stores.postgresql import failover

        return failover.candidates(ask)

    def fail_over(self, ask: Ask, member: str) -> Recipe:
        from aegis_plan.stores.postgresql import failover

        return failover.fail_over(ask, member)

    def points(self, shelf: Shelf) -> Sequence[Window]:
        from aegis_plan.stores.postgresql import chains

        return chains.windows(chains.archive(shelf))

    def exposure(self, ask: Ask) -> Exposure:
        from aegis_plan.stores.postgresql import exposure

        return exposure.exposure(ask)

    def bonds(self, shelf: Shelf) -> Bonds:
        from aegis_plan.stores.postgresql import bonds

        return bonds.bonds(shelf)


SPEC: StoreSpec = PostgresqlSpec()
