"""What differs between two plans, as lines that a person reads when a plan has become stale. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from aegis_plan.plan.plan import Plan
from aegis_plan.plan.step import Fact, Step


def difference(old: Plan, new: Plan, *, limit: int = 40) -> tuple[str, ...]:
    """Steps added, removed and changed, facts that moved, documents that differ: one line each, at most `limit`."""
    lines: list[str] = []
    if old.documents_digest != new.documents_digest:
        lines.append("~ the documents were changed")
    before = {step.id: step for step in old.steps}
    after = {step.id: step for step in new.steps}
    lines.extend(f"- {step.id}: {step.title}" for step in old.steps if step.id not in after)
    for step in new.steps:
        if step.id not in before:
            lines.append(f"+ {step.id}: {step.title} ({step.reason})")
        else:
            lines.extend(f"~ {step.id}: {change}" for change in _changes(before[step.id], step))
    lines.extend(f"~ {change}" for change in facts_moved(old.steps, new.snapshot.facts))
    if len(lines) > limit:
        return (*lines[:limit], f"and {len(lines) - limit} more")
    return tuple(lines)


def facts_moved(steps: tuple[Step, ...], facts: Mapping[str, str | int | float | bool | None]) -> tuple[str, ...]:
    """Facts of the steps that no longer hold, each once: `<name> was <then>, is <now>`."""
    seen: dict[str, str] = {}
    for step in steps:
        for fact in step.facts:
            if fact.name in facts and not holds(fact, facts[fact.name]):
                seen.setdefault(fact.name, f"{fact.name} was {_word(fact.value)}, is {_word(facts[fact.name])}")
    return tuple(seen.values())


def holds(fact: Fact, now: str | int | float | bool | None) -> bool:
    """Whether a fact still holds; a measurement within its tolerance, or not below its minimum, does."""
    if fact.at_least is not None:
        return isinstance(now, (int, float)) and now >= fact.at_least
    if fact.tolerance is not None and isinstance(now, (int, float)) and isinstance(fact.value, (int, float)):
        return abs(now - fact.value) <= fact.tolerance
    return now == fact.value


def _changes(old: Step, new: Step) -> list[str]:
    changes = []
    for key in sorted({*old.params, *new.params}):
        then, now = old.params.get(key), new.params.get(key)
        if then != now:
            changes.append(f"{key} was {_word(then)}, is {_word(now)}")
    if old.action != new.action:
        changes.append(f"is now {new.action}, was {old.action}")
    if old.site != new.site:
        changes.append(f"runs at {new.site}, was {old.site}")
    if old.needs != new.needs:
        changes.append(f"needs {', '.join(new.needs) or 'nothing'}, needed {', '.join(old.needs) or 'nothing'}")
    return changes


def _word(value: object) -> str:
    if value is None:
        return "nothing"
    text = f"{len(value)} entries" if isinstance(value, (dict, list, tuple)) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
