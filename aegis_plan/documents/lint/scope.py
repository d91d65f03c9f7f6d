"""The documents as rules look at them: who uses a store, which objective counts, what a scenario takes away. It judges
nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from aegis_plan.documents.lint.calendar import Gap, longest_gap
from aegis_plan.documents.model import Backup, Documents, Scenario, Store
from aegis_plan.documents.tree import Node


class Target(NamedTuple):
    """An objective and where it is written."""

    span: timedelta
    place: str


@dataclass(frozen=True)
class Scope:
    """`now` is aware; only dates in what is said depend on it."""

    documents: Documents
    root: Node
    now: datetime

    @property
    def local(self) -> datetime:
        """The present in the system's time zone."""
        return self.now.astimezone(ZoneInfo(self.documents.system.timezone))

    def gap(self, *schedules: str) -> Gap | None:
        """The longest time in which none of the schedules happens, by the system's time zone."""
        return longest_gap(schedules, self.documents.system.timezone, self.local.year)

    @cached_property
    def users(self) -> dict[str, list[str]]:
        """Store or service to the services that use it directly."""
        found: dict[str, list[str]] = {}
        for name, service in self.documents.services.items():
            for used in service.uses:
                found.setdefault(used, []).append(name)
        return found

    def tier_target(self, tier: int, which: Literal["rto", "rpo"]) -> Target | None:
        """What a tier asks for, else what the system does."""
        declared = self.documents.tiers.get(str(tier))
        own: timedelta | None = getattr(declared, which) if declared is not None else None
        if own is not None:
            return Target(own, f"tiers.{tier}.{which}")
        return self.system_target(which)

    def system_target(self, which: Literal["rto", "rpo"]) -> Target | None:
        """What the system asks for; where it says nothing and every tier does, the loosest of them."""
        whole: timedelta | None = getattr(self.documents.system.objectives, which)
        if whole is not None:
            return Target(whole, f"system.objectives.{which}")
        spans = {name: getattr(tier, which) for name, tier in self.documents.tiers.items()}
        if not spans or None in spans.values():
            return None
        loosest = max(spans, key=lambda name: spans[name])
        return Target(spans[loosest], f"tiers.{loosest}.{which}")

    def store_target(self, store: str, which: Literal["rto", "rpo"]) -> Target | None:
        """That of the most critical service that uses the store, else the system's."""
        tiers = [self.documents.services[name].tier for name in self.users.get(store, ())]
        return self.tier_target(min(tiers), which) if tiers else self.system_target(which)

    def scenario_target(self, scenario: Scenario, name: str, which: Literal["rto", "rpo"]) -> Target | None:
        """What a scenario expects, else what the system and the tiers that it takes ask for."""
        own: timedelta | None = getattr(scenario.expect, which)
        return Target(own, f"scenarios.{name}.expect.{which}") if own is not None else self.ceiling(scenario, which)

    def affected(self, scenario: Scenario) -> list[str]:
        """Stores that a scenario takes: those that it or its services name, and those with a member at its sites."""
        named = set(scenario.affects.stores) | self._used_by(scenario.affects.services)
        sites = set(scenario.affects.sites)
        return [
            name
            for name, store in self.documents.stores.items()
            if name in named or any(member.site in sites for member in store.members.values())
        ]

    def _used_by(self, services: tuple[str, ...]) -> set[str]:
        """Everything that services cannot do without."""
        found: set[str] = set()
        waiting = list(services)
        while waiting:
            service = self.documents.services.get(waiting.pop())
            new = set(service.uses) - found if service is not None else set()
            found |= new
            waiting.extend(new)
        return found

    def promotable(self, scenario: Scenario, store: str) -> bool:
        """Whether a failover could go to some member. Where no site is struck, the preferred member, else the first,
        counts as the primary that fails."""
        from aegis_plan.stores.specs import spec

        declared = self.documents.stores[store]
        if not spec(declared.engine).modes.failover:
            return False
        struck = self.useless_sites(scenario)
        failed = None if struck else declared.preferred or next(iter(declared.members), None)
        return any(
            one.promote and one.site not in struck and member != failed for member, one in declared.members.items()
        )

    def struck_tiers(self, scenario: Scenario) -> list[int]:
        """Tiers of the services that a scenario takes, by what they use or where they run; the most critical first."""
        struck = set(scenario.affects.sites)
        services = self.documents.services
        down = {*scenario.affects.stores, *self._used_by(scenario.affects.services), *scenario.affects.services}
        for name, store in self.documents.stores.items():
            # Where only a replica is struck, nobody who uses the store is.
            first = store.preferred or next(iter(store.members), None)
            if first is not None and first in store.members and store.members[first].site in struck:
                down.add(name)
        down |= {name for name, one in services.items() if struck.intersection(one.runs_at[:1])}
        waiting = list(down)
        while waiting:
            new = set(self.users.get(waiting.pop(), ())) - down
            down |= new
            waiting.extend(new)
        return sorted({services[name].tier for name in down if name in services})

    def ceiling(self, scenario: Scenario, which: Literal["rto", "rpo"]) -> Target | None:
        """The most that a scenario may promise: the system's objective, and the loosest of the tiers that it takes."""
        tiers = [self.tier_target(tier, which) for tier in self.struck_tiers(scenario)]
        known = [target for target in tiers if target is not None]
        loosest = max(known, default=None, key=lambda one: one.span) if len(known) == len(tiers) else None
        limits = [one for one in (self.system_target(which), loosest) if one is not None]
        return min(limits, default=None, key=lambda one: one.span)

    def lost_sites(self, scenario: Scenario) -> frozenset[str]:
        """Sites where nothing is left."""
        return frozenset(scenario.lost_sites)

    def useless_sites(self, scenario: Scenario) -> frozenset[str]:
        """Sites where nothing is left, or nothing that can be relied on."""
        effect = scenario.effect
        return frozenset(scenario.affects.sites) if effect.takes_sites or effect.distrusts_sites else frozenset()

    def backups(self) -> Iterator[tuple[str, Store, Backup]]:
        """Every store that is backed up."""
        for name, store in self.documents.stores.items():
            if store.backup is not None:
                yield name, store, store.backup


def keeps_log(store: Store) -> bool:
    """Whether the engine has a log that can be backed up, and it is declared to be."""
    from aegis_plan.stores.specs import spec

    log = store.backup.log if store.backup is not None else None
    return log is not None and (log.stream or log.schedule is not None) and spec(store.engine).modes.log


def set_schedules(store: Store) -> dict[str, str]:
    """`full` and `incremental` to the schedule by which whole recovery points are made."""
    from aegis_plan.stores.specs import spec

    backup = store.backup
    found: dict[str, str] = {}
    if backup is not None and backup.full is not None and backup.full.schedule is not None:
        found["full"] = backup.full.schedule
    if (
        backup is not None
        and backup.incremental is not None
        and backup.incremental.schedule is not None
        and spec(store.engine).modes.incremental
    ):
        found["incremental"] = backup.incremental.schedule
    return found
