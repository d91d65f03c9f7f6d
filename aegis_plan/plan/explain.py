"""Why a step is in a plan, what it waits for and what waits for it, when it runs and what that rests on. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

from aegis_plan.plan.forecast import evidence
from aegis_plan.plan.gates import gated
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.schedule import Schedule, Timing, schedule
from aegis_plan.plan.step import Step


@dataclass(frozen=True)
class Explanation:
    """Everything about one step of one plan."""

    step: Step
    place: int
    """In the order of the plan, from 1."""
    of: int
    tier: str
    """`tier 1 (critical)` or `before all tiers`."""
    timing: Timing
    total: float
    """Seconds until the whole plan ends, at least where lengths are unknown."""
    total_known: bool
    needs: tuple[str, ...]
    """What it waits for directly: steps that it needs."""
    gates: tuple[str, ...]
    """Health gates of more critical tiers that hold it back."""
    followers: tuple[str, ...]
    """Steps that wait for it directly."""
    dependents: dict[str, tuple[str, ...]]
    """All steps that wait for it, directly or not, by tier."""
    beside: tuple[str, ...]
    """Steps that run while it does."""
    same_resource: tuple[str, ...]
    """Steps that it never runs beside, as they have the same resource at the same site."""
    rest_on: str
    """What its time rests on."""
    undo: str
    """Whether and how it is taken back."""

    def as_data(self) -> dict[str, Any]:
        """As JSON carries it."""
        shown = ("place", "of", "tier", "total", "total_known", "needs", "gates", "followers", "dependents", "beside")
        data: dict[str, Any] = {"step": self.step.model_dump(mode="json"), "timing": self.timing._asdict()}
        data |= {name: getattr(self, name) for name in (*shown, "same_resource", "rest_on", "undo")}
        data["timing"]["exact"] = self.timing.exact
        return data


def explain(plan: Plan, name: str) -> Explanation | None:
    """The explanation of a step; None when the plan has none of that name."""
    at = next((at for at, step in enumerate(plan.steps) if step.id == name), None)
    if at is None:
        return None
    step, times = plan.steps[at], schedule(plan)
    tiers = plan.documents.tiers
    label = tiers[str(step.tier)].name if str(step.tier) in tiers else ""
    found = waiting_for(plan, step)
    by_tier: dict[str, list[str]] = {}
    for other in plan.steps:
        if other.id in found:
            by_tier.setdefault(str(other.tier), []).append(other.id)
    return Explanation(
        step=step,
        place=at + 1,
        of=len(plan.steps),
        tier=f"tier {step.tier}" + (f" ({label})" if label else "") if step.tier else "before all tiers",
        timing=times.steps[name],
        total=times.total,
        total_known=times.exact,
        needs=tuple(dict.fromkeys(step.needs)),
        gates=tuple(other.id for other in plan.steps if other.gate and other.tier < step.tier) if gated(step) else (),
        followers=tuple(
            other.id
            for other in plan.steps
            if name in other.needs or (step.gate and gated(other) and other.tier > step.tier)
        ),
        dependents={tier: tuple(names) for tier, names in by_tier.items()},
        beside=_beside(times, name),
        same_resource=tuple(
            other.id
            for other in plan.steps
            if step.resource and other.id != name and (other.site, other.resource) == (step.site, step.resource)
        ),
        rest_on=evidence(step),
        undo=_undo(step),
    )


def waiting_for(plan: Plan, step: Step) -> frozenset[str]:
    """All steps that wait for this one, directly or not."""
    followers: dict[str, list[str]] = {}
    held: dict[int, list[str]] = {}
    for other in plan.steps:
        for need in other.needs:
            followers.setdefault(need, []).append(other.id)
        if gated(other):
            held.setdefault(other.tier, []).append(other.id)
    known = {other.id: other for other in plan.steps}
    found: set[str] = set()
    through: float = inf
    waiting = [step.id]
    while waiting:
        name = waiting.pop()
        behind = list(followers.get(name, ()))
        gate = known[name]
        if gate.gate and gate.tier < through:
            # What one gate of a tier holds back, all of them do: each tier is taken up once.
            behind += [one for tier in held if gate.tier < tier <= through for one in held[tier]]
            through = gate.tier
        for follower in behind:
            if follower not in found:
                found.add(follower)
                waiting.append(follower)
    found.discard(step.id)
    return frozenset(found)


def _beside(times: Schedule, name: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for group in times.together:
        if name in group:
            found.update(dict.fromkeys(group))
    found.pop(name, None)
    return tuple(other for other in times.steps if other in found)


def _undo(step: Step) -> str:
    if not step.reversible:
        if step.symbol in ("+", "<="):
            return "nothing of it is taken back: it only adds or looks"
        return "it cannot be taken back"
    if step.scratch:
        return "what it made is removed when the run ends without it"
    undo = step.params.get("undo")
    if isinstance(undo, list):
        return f"it is taken back by: {' '.join(str(word) for word in undo)}"
    return "it is taken back by its own undo, if a later step of the same subject fails after people were touched"
