"""Whether what a plan rests on still holds. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from aegis_plan.errors import StaleError
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.step import Fact

Value = str | int | float | bool | None
_SHOWN = 5


@dataclass(frozen=True)
class Drift:
    """One fact of one step that no longer holds."""

    step: str
    fact: str
    planned: Value
    now: Value
    seen: bool = True
    """Whether the new snapshot says anything of it; what could not be seen is not known to hold."""

    def __str__(self) -> str:
        return f"{self.step}: {self.fact} was {_show(self.planned)}, now {_show(self.now) if self.seen else 'not seen'}"


def stale(plan: Plan, snapshot: Snapshot, sent: Collection[str] = ()) -> list[Drift]:
    """What moved under the steps that were not sent yet, in the order of the plan. Facts that a sent step alters are
    no longer held against it."""
    changed = {name for step in plan.steps if step.id in sent for name in step.changes}
    found = []
    for step in plan.steps:
        if step.id in sent:
            continue
        for fact in step.facts:
            if fact.name in changed:
                continue
            seen = fact.name in snapshot.facts
            now = snapshot.facts.get(fact.name)
            if not seen or not holds(fact, now):
                found.append(Drift(step.id, fact.name, fact.value, now, seen))
    return found


def holds(fact: Fact, now: Value) -> bool:
    """Whether a fact is still as the plan needs it, within its tolerance."""
    if fact.at_least is not None:
        return _number(now) is not None and float(_number(now) or 0.0) >= fact.at_least
    planned, present = _number(fact.value), _number(now)
    if fact.tolerance is not None and planned is not None and present is not None:
        return abs(present - planned) <= fact.tolerance
    return type(now) is type(fact.value) and now == fact.value if planned is None else present == planned


def refuse(drifts: list[Drift]) -> None:
    """Raises StaleError `plan-stale` when anything drifted."""
    if not drifts:
        return
    more = f"; and {len(drifts) - _SHOWN} more" if len(drifts) > _SHOWN else ""
    raise StaleError(
        "plan-stale",
        "the world is no longer as the plan assumes",
        "; ".join(map(str, drifts[:_SHOWN])) + more,
        "make a new plan and look at what differs; nothing was changed",
    )


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _show(value: Value) -> str:
    return "nothing" if value is None else str(value)
