"""The shortest course of a scenario's own steps by their declared estimates: what no luck makes shorter. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

from aegis_plan.documents.lint.words import say
from aegis_plan.documents.model import Documents, OwnStep, Scenario

_PHASES = ("declare", "isolate", "data", "services", "verify", "traffic")
"""In their order; who is told afterwards waits for no service."""

_Way: TypeAlias = tuple[timedelta, tuple[str, ...]]


@dataclass(frozen=True)
class Course:
    """The longest chain of waiting."""

    span: timedelta
    steps: tuple[str, ...]
    sum: str


def shortest(documents: Documents, scenario: Scenario) -> Course:
    """The decision and every own step that waits for another, as a plan orders them. `decide` covers calling out and
    assessing, so that steps of the phase `declare` count only where they take longer."""
    decided = scenario.decide or timedelta()
    nothing: _Way = (timedelta(), ())
    last = max((int(tier) for tier in documents.tiers), default=1)
    known: dict[str, OwnStep] = {}
    ends: dict[str, _Way] = {}
    by_tier: dict[int, _Way] = {}
    decision: _Way = (decided, ("decide",)) if decided else nothing
    for phase in _PHASES:
        steps: dict[str, OwnStep] = getattr(scenario.steps, phase)
        known |= steps
        early = phase in ("declare", "isolate")
        if phase == "isolate":
            by_tier[0] = max(decision, by_tier.get(0, nothing))
        ended: dict[int, _Way] = {}
        for name in _in_order(steps):
            own = steps[name]
            tier = own.tier or (0 if early else last)
            before = [way for at, way in by_tier.items() if at <= tier]
            # What a later phase has to do first is left out: a course is never told longer than it is.
            before += [ends[need] for need in own.needs if need in ends]
            begin, way = max(before, default=nothing)
            took = own.estimate or timedelta()
            ends[name] = (begin + took, (*way, name) if took else way)
            ended[tier] = max(ends[name], ended.get(tier, nothing))
        for tier, way_there in ended.items():
            by_tier[tier] = max(way_there, by_tier.get(tier, nothing))
    span, way = max([decision, *ends.values()])
    parts = [
        f"{say(decided)} (decide)" if name == "decide" else f"{say(known[name].estimate or timedelta())} ({name})"
        for name in way
    ]
    return Course(span, way, " + ".join(parts) + (f" = {say(span)}" if len(parts) > 1 else ""))


def _in_order(steps: dict[str, OwnStep]) -> list[str]:
    """What is needed first; in the order given where steps wait for each other, which no plan could have."""
    graph = {name: [need for need in own.needs if need in steps] for name, own in steps.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError:
        return list(steps)
