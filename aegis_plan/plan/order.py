"""Brings steps into execution order: needs first, then tier by tier, phases within a tier. Pure and deterministic."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from aegis_plan.errors import AegisError
from aegis_plan.plan.course import graph
from aegis_plan.plan.gates import gated
from aegis_plan.plan.step import PHASES, Step

_PHASE = {phase: index for index, phase in enumerate(PHASES)}


def ordered(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps so that each stands behind what it needs, and otherwise by tier, phase and the order given.

    Raises AegisError `steps-in-circle`, `step-twice` or `need-unknown` for steps that no order fits."""
    places: dict[str, int] = {}
    for place, step in enumerate(steps):
        if step.id in places:
            raise AegisError("step-twice", "two steps of a plan have one name", f"both are called {step.id}")
        places[step.id] = place
    followers: list[list[int]] = [[] for _ in steps]
    waiting = [0] * len(steps)
    for place, step in enumerate(steps):
        for need in {*step.needs, *step.builds_on}:
            if need not in places:
                raise AegisError(
                    "need-unknown",
                    "a step needs another that is not in the plan",
                    f"{step.id} needs {need}",
                    "see the 'needs' of this step in the documents",
                )
            followers[places[need]].append(place)
            waiting[place] += 1
    ready = [(step.tier, _PHASE[step.phase], place) for place, step in enumerate(steps) if not waiting[place]]
    heapify(ready)
    done: list[Step] = []
    while ready:
        _, _, place = heappop(ready)
        done.append(steps[place])
        for follower in followers[place]:
            waiting[follower] -= 1
            if not waiting[follower]:
                step = steps[follower]
                heappush(ready, (step.tier, _PHASE[step.phase], follower))
    if len(done) < len(steps):
        circle = [step.id for place, step in enumerate(steps) if waiting[place]]
        raise AegisError(
            "steps-in-circle",
            "steps wait for each other",
            f"none of these can be first: {', '.join(circle[:8])}",
            "take one of their 'needs' out of the documents",
        )
    _check_gates(done)
    return tuple(done)


def _check_gates(steps: Sequence[Step]) -> None:
    """Raises `steps-in-circle` where a gate waits for a step that waits for the gate: nothing of that could begin."""
    last = {step.tier: at for at, step in enumerate(steps) if step.gate}
    if not any(
        gated(step) and any(at < last[tier] for tier in last if tier < step.tier) for at, step in enumerate(steps)
    ):
        return  # in this order each step stands behind all gates that hold it back, so that nothing waits in a circle
    net = graph(steps)
    waiting = [len(needs) for needs in net.needs]
    free = [at for at, count in enumerate(waiting) if not count]
    while free:
        for held in net.holds[free.pop()]:
            waiting[held] -= 1
            if not waiting[held]:
                free.append(held)
    stuck = [steps[at] for at in range(net.steps) if waiting[at]]
    if stuck:
        lowest = max(stuck, key=lambda step: step.tier)
        raise AegisError(
            "steps-in-circle",
            "steps wait for each other",
            f"{lowest.id} waits for the health gates of more critical tiers, and one of those needs it; none of these "
            f"can be first: {', '.join(step.id for step in stuck[:8])}",
            f"give what {lowest.subject or lowest.id} is to the tier of its most critical user",
        )
