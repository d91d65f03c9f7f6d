"""How much would be lost by what is declared: interval + duration + lag, as a sum that people can check. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from aegis_plan.documents.lint.scope import Scope, set_schedules
from aegis_plan.documents.lint.words import say
from aegis_plan.documents.model import Store


@dataclass(frozen=True)
class Loss:
    """The most that is lost, as far as it is declared."""

    kind: Literal["full", "incremental", "log"]
    """Where the schedule stands that decides."""
    span: timedelta
    whole: bool
    """Whether the time that a backup takes is declared and counted in."""
    sum: str

    @property
    def noun(self) -> str:
        """What it is restored from."""
        return "its log" if self.kind == "log" else "whole backups"

    def exceeds(self, target: timedelta) -> bool:
        """Whether it is certain to be more. A backup always takes some time, also where nobody says how long."""
        return self.span > target or (not self.whole and self.span == target)


def of_log(scope: Scope, store: Store) -> Loss | None:
    """By the schedule of the log; None where it flows by itself, or nothing is declared."""
    log = store.backup.log if store.backup is not None else None
    if log is None or log.stream or log.schedule is None:
        return None
    return _loss(scope, store, "log", (log.schedule,), log.estimate)


def of_sets(scope: Scope, store: Store) -> Loss | None:
    """By the schedules of whole recovery points; None where there is none."""
    schedules = set_schedules(store)
    if store.backup is None or not schedules:
        return None
    full, incremental = store.backup.full, store.backup.incremental
    kind: Literal["full", "incremental"] = "incremental" if "incremental" in schedules else "full"
    chosen = [one.estimate for one in (full, incremental) if one is not None and one.estimate is not None]
    return _loss(scope, store, kind, tuple(schedules.values()), max(chosen, default=None))


def _loss(
    scope: Scope,
    store: Store,
    kind: Literal["full", "incremental", "log"],
    schedules: tuple[str, ...],
    estimate: timedelta | None,
) -> Loss:
    gap = scope.gap(*schedules)
    if gap is None:
        return Loss(kind, timedelta(days=365), True, "less than twice in two years")
    parts = [
        f"every {say(gap.span)}" if gap.always else f"up to {say(gap.span)} apart (from {gap.begin:%a %Y-%m-%d %H:%M})"
    ]
    total = gap.span
    if estimate is not None:
        total += estimate
        parts.append(f"{say(estimate)} (declared)")
    else:
        parts.append("the time that one takes (not declared)")
    member = store.backup.from_member if store.backup is not None else None
    lag = store.members[member].lag if member is not None and member in store.members else None
    if lag:
        total += lag
        parts.append(f"{say(lag)} (lag of {member})")
    sure = "" if estimate is not None else "at least "
    if estimate is None and not lag:
        return Loss(kind, total, False, " + ".join(parts) + f" = more than {say(total)}")
    return Loss(kind, total, estimate is not None, " + ".join(parts) + f" = {sure}{say(total)}")
