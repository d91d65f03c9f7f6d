"""After which steps of a plan everything serves again: stores, the services on them, and tiers as a whole. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aegis_plan.documents.model import Documents, Scenario
from aegis_plan.plan.plan import About, Plan
from aegis_plan.plan.services import dependents
from aegis_plan.plan.step import Step

_OLDER = ("accept", "repoint", "swap", "compare", "start-server", "replay")
"""Kinds of the step after which a store serves, in plans of versions that did not write it down."""


@dataclass(frozen=True)
class Serving:
    """After which steps everything serves again."""

    stores: Mapping[str, str]
    services: Mapping[str, tuple[str, ...]]
    """All of them have to end; none: nothing is done for the service."""
    stuck: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Services with the stores under them that the plan cannot bring back."""


@dataclass(frozen=True)
class Subject:
    """Something that has an RTO, and the steps that all have to end before it is back."""

    about: About
    name: str
    tier: int
    after: tuple[str, ...]
    stuck: tuple[str, ...] = ()
    """Stores that it needs and that the plan cannot bring back."""


def _serves(steps: Sequence[Step]) -> str:
    """The step of one store after which it serves, in a plan that does not say it."""
    for action in _OLDER:
        for step in steps:
            if step.action == action:
                return step.id
    return steps[-1].id


def serving_of(plan: Plan) -> Serving:
    """The same for a whole plan; nothing for one that brings nothing back."""
    if plan.intent.kind not in ("recover", "restore") or not plan.steps:
        return Serving({}, {})
    accepted = plan.serves or _of_older(plan)
    if plan.intent.beside:
        return Serving(accepted, {})
    # Which services hang on it was decided with the snapshot at hand; each of them has a forecast.
    names = tuple(row.subject for row in plan.forecasts if row.about == "service")
    return Serving(accepted, serving(plan.documents, names, accepted, plan.steps))


def _of_older(plan: Plan) -> dict[str, str]:
    of_store: dict[str, list[Step]] = {}
    for step in plan.steps:
        if step.subject in plan.documents.stores:
            of_store.setdefault(step.subject, []).append(step)
    return {name: _serves(steps) for name, steps in of_store.items()}


def not_back(plan: Plan) -> dict[str, str]:
    """Stores that a recovery is about and that no step of it brings back, each with the error that says why."""
    if plan.intent.kind not in ("recover", "restore") or not plan.steps:
        return {}
    worked = {step.subject for step in plan.steps}
    known = plan.documents.stores
    about = [row.subject for row in plan.forecasts if row.subject in known and row.subject not in worked]
    errors = [finding for finding in plan.findings if finding.severity == "error"]
    return {name: next((one.summary for one in errors if one.subject == name), "") for name in about}


def subjects(
    documents: Documents, steps: Sequence[Step], found: Serving, scenario: Scenario | None
) -> tuple[Subject, ...]:
    """Everything that has an RTO: tiers, then services.

    A tier is back when its stores, its services and those of more critical tiers serve, and the scenario's own steps
    that people wait for ended."""
    tiers = {step.id: step.tier for step in steps}
    own_steps = _waited_for(scenario, tiers)
    ends = [(tiers[name], name) for name in found.stores.values()]
    ends += [(documents.services[name].tier, step) for name, after in found.services.items() for step in after]
    made = []
    stuck = [(documents.services[name].tier, store) for name, stores in found.stuck.items() for store in stores]
    for tier in sorted({tier for tier, _ in (*ends, *stuck)}):
        label = documents.tiers[str(tier)].name if str(tier) in documents.tiers else ""
        after = tuple(dict.fromkeys(step for at, step in (*ends, *own_steps) if at <= tier))
        under = tuple(dict.fromkeys(store for at, store in stuck if at <= tier))
        made.append(Subject("tier", f"tier {tier}" + (f" ({label})" if label else ""), tier, after, under))
    for name, own in found.services.items():
        under = found.stuck.get(name, ())
        if own or under:
            tier = documents.services[name].tier
            after = tuple(dict.fromkeys((*own, *(step for at, step in own_steps if at <= tier))))
            made.append(Subject("service", name, tier, after, under))
    return tuple(made)


def _waited_for(scenario: Scenario | None, tiers: Mapping[str, int]) -> list[tuple[int, str]]:
    """The scenario's own steps before whose end nobody is served, with the first tier for which they count: all but
    calls and notices. Traffic that names no tier leads the people of every tier."""
    if scenario is None:
        return []
    return [
        (0 if phase == "traffic" and not own.tier else tiers[step], step)
        for phase in ("data", "services", "verify", "traffic")
        for name, own in getattr(scenario.steps, phase).items()
        if (step := f"{phase}.{name}") in tiers
    ]


def serving(
    documents: Documents, names: Sequence[str], accepted: Mapping[str, str], steps: Sequence[Step]
) -> dict[str, tuple[str, ...]]:
    """For each service the steps after which it serves: its health gate or its start, else those of what it uses."""
    known = {step.id for step in steps}
    own = {
        name: next((step for step in (f"{name}.health", f"{name}.start") if step in known), "")
        for name in documents.services
    }
    return {name: (own[name],) if own[name] else _behind(documents, name, own, accepted) for name in names}


def _behind(documents: Documents, service: str, own: Mapping[str, str], accepted: Mapping[str, str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    waiting, seen = list(documents.services[service].uses), set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in accepted:
            found[accepted[name]] = None
        elif own.get(name):
            found[own[name]] = None
        elif name in documents.services:
            waiting.extend(documents.services[name].uses)
    return tuple(sorted(found))


def stuck(documents: Documents, names: Sequence[str], missing: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Services that use one of the `missing` stores, directly or not, with those stores."""
    found: dict[str, tuple[str, ...]] = {}
    among = frozenset(names)
    for store in missing:
        for service in dependents(documents, (store,)):
            if service in among:
                found[service] = (*found.get(service, ()), store)
    return found
