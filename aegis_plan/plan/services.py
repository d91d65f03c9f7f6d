"""Which stores a disruption concerns, which services hang on them, and the steps that bring those back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal

from aegis_plan.documents.model import Documents, OwnStep, Scenario, Service
from aegis_plan.plan.asks import Durations
from aegis_plan.plan.people import called
from aegis_plan.plan.plan import Intent
from aegis_plan.plan.step import PHASES, Estimate, Phase, Step, measured, new_step

Why = Literal["asked", "named", "used", "site", "all"]
"""What makes a store one to bring back: asked for, named by the scenario, used by a service that is down, a server at a
struck site and nothing else, or that the scenario does not say what it takes."""


def concerned(documents: Documents, intent: Intent, scenario: Scenario | None) -> dict[str, Why]:
    """The stores to bring back, sorted, each with why: those asked for, else those that the scenario affects."""
    if intent.stores and (scenario is None or set(intent.stores) != set(scenario.affects.stores)):
        return dict.fromkeys(sorted(intent.stores), "asked")
    if scenario is None:
        return {}
    affects = scenario.affects
    where = scenario.effect.takes_sites and bool(intent.sites_down)
    if not (affects.sites or affects.stores or affects.services or where):
        return dict.fromkeys(sorted(documents.stores), "all")
    found: dict[str, Why] = {}
    sites = {*affects.sites, *intent.sites_down}
    for name, store in documents.stores.items():
        if any(member.site in sites for member in store.members.values()):
            found[name] = "site"
    waiting, seen = list(affects.services), set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in documents.stores:
            found[name] = "used"
        elif name in documents.services:
            waiting.extend(documents.services[name].uses)
    found.update(dict.fromkeys(affects.stores, "named"))
    return dict(sorted(found.items()))


def dependents(documents: Documents, stores: Sequence[str], also: Sequence[str] = ()) -> tuple[str, ...]:
    """Services that hang on the stores, directly or not, and those named; used before user."""
    users: dict[str, list[str]] = {}
    for name, service in documents.services.items():
        for used in service.uses:
            users.setdefault(used, []).append(name)
    found = set(also)
    waiting = [*stores, *also]
    while waiting:
        for user in users.get(waiting.pop(), ()):
            if user not in found:
                found.add(user)
                waiting.append(user)
    return tuple(sorted(found, key=lambda name: (documents.services[name].tier, name)))


def service_steps(
    documents: Documents,
    names: Sequence[str],
    accepted: Mapping[str, str],
    home: str,
    sites_down: Sequence[str],
    durations: Durations,
) -> list[Step]:
    """A start and a health gate for each service, after the stores and services that it uses.

    `accepted` names, by store, the step after which it serves."""
    last: dict[str, str] = {}
    for name in names:
        service = documents.services[name]
        last[name] = f"{name}.health" if service.health else f"{name}.start" if _begins(service) else ""
    steps: list[Step] = []
    for name in names:
        service = documents.services[name]
        site = next((site for site in service.runs_at if site not in sites_down), home)
        needs = [accepted[used] for used in service.uses if used in accepted]
        needs += _through(documents, service.uses, last, accepted)
        declared = (f"services/{name}", f"sites/{site}")
        if service.managed_by:
            if service.health is None:
                steps.append(_managed(name, service.managed_by, site, service.tier, needs, declared))
        elif service.start is not None:
            params: dict[str, object] = {"run": list(service.start.command)}
            if service.stop is not None:
                params["undo"] = list(service.stop.command)
            if service.start.run_as is not None:
                params["run_as"] = service.start.run_as
            steps.append(
                new_step(
                    "command",
                    id=f"{name}.start",
                    title=f"start {name}",
                    reason=f"it uses {', '.join(service.uses)}" if service.uses else "the disruption took it down",
                    site=site,
                    tier=service.tier,
                    phase="services",
                    subject=name,
                    resource=name,
                    params={**params, "timeout": service.start.timeout.total_seconds()},
                    declared=declared,
                    needs=tuple(dict.fromkeys(needs)),
                    reversible=service.stop is not None,
                    estimate=_estimate(durations, "command", name, service.start.estimate),
                    seconds=service.start.timeout.total_seconds(),
                )
            )
            needs = [f"{name}.start"]
        if service.health is not None:
            steps.append(
                new_step(
                    "health",
                    id=f"{name}.health",
                    title=f"wait until {name} is healthy",
                    reason=f"{service.managed_by} starts it, and services of lower tiers wait for it"
                    if service.managed_by
                    else "services of lower tiers wait for it",
                    site=site,
                    tier=service.tier,
                    phase="services",
                    subject=name,
                    resource="",
                    params={"service": name},
                    declared=declared,
                    needs=tuple(dict.fromkeys(needs)),
                    gate=True,
                    estimate=_estimate(durations, "health", name, None),
                    seconds=service.health.within.total_seconds() + 30.0,
                )
            )
    return steps


def _begins(service: Service) -> bool:
    """Whether a step says that it runs: its start, or the word of a person where something else starts it."""
    return service.start is not None or bool(service.managed_by)


def _managed(name: str, other: str, site: str, tier: int, needs: Sequence[str], declared: tuple[str, ...]) -> Step:
    """What something else starts and no check looks at, a person looks at."""
    text = f"see that {other} has {name} running"
    return new_step(
        "manual",
        id=f"{name}.start",
        title=text,
        reason=f"{other} starts it, and no health check is declared",
        site=site,
        tier=tier,
        phase="services",
        subject=name,
        params={"manual": text, "answer": {"by": {"approval": "by"}}},
        declared=declared,
        needs=tuple(dict.fromkeys(needs)),
        approve="does it run?",
        gate=True,
    )


def _through(
    documents: Documents, uses: Sequence[str], last: Mapping[str, str], accepted: Mapping[str, str]
) -> list[str]:
    """The last steps of used services, looking through those that have none to what they use, stores among it."""
    found: dict[str, str] = {}
    waiting, seen = list(uses), set()
    while waiting:
        name = waiting.pop()
        if name in accepted:
            found[name] = accepted[name]
        if name in seen or name not in last:
            continue
        seen.add(name)
        if last[name]:
            found[name] = last[name]
        else:
            waiting.extend(documents.services[name].uses)
    return [found[name] for name in sorted(found)]


def own_steps(
    documents: Documents,
    scenario: Scenario,
    steps: Sequence[Step],
    accepted: Mapping[str, str],
    home: str,
    durations: Durations,
) -> list[Step]:
    """The scenario's own steps, and the given ones made to wait for those that come before anything is touched.

    Without a tier, `declare` and `isolate` come before all tiers, the others with the last one."""
    declared: list[tuple[Phase, str, OwnStep]] = [
        (phase, name, own)
        for phase in PHASES
        if phase != "protect"
        for name, own in getattr(scenario.steps, phase).items()
    ]
    if not declared:
        return list(steps)
    ids: dict[str, str] = {}
    for phase, name, _ in declared:
        ids.setdefault(name, f"{phase}.{name}")
    last_tier = max((step.tier for step in steps), default=0)
    known = {step.id for step in steps}
    gates = [(step.tier, step.id) for step in steps if step.gate]
    made: list[Step] = []
    for phase, name, own in declared:
        early = phase in ("declare", "isolate")
        tier = own.tier or (0 if early else last_tier)
        needs = [ids.get(need, need if need in known else f"{phase}.{need}") for need in own.needs]
        if phase != "declare":
            order = PHASES.index(phase)
            needs += [
                step.id
                for step in made
                if PHASES.index(step.phase) < order and step.tier <= tier and step.id not in needs
            ]
        if not early:
            stores = accepted.values() if phase not in ("data", "services") else _urgent(accepted, steps, tier)
            needs += [step for step in stores if step not in needs]
        if phase in ("verify", "traffic", "notify"):
            needs += [gate for at, gate in gates if at <= tier and gate not in needs]
        made.append(
            _own(documents, f"{phase}.{name}", name, phase, tier, tuple(dict.fromkeys(needs)), own, home, durations)
        )
    steps = _behind_data(steps, made)
    before = tuple(step.id for step in made if step.phase in ("declare", "isolate"))
    if not before:
        return [*steps, *made]
    waiting: list[Step] = []
    behind: set[str] = set()
    for step in steps:
        # What serves people begins or ends for nobody who was not called; fetching and proving may go ahead.
        late = any(need in behind for need in step.needs) or _own_need(step, before)
        if step.destructive or (step.phase == "services" and not late):
            late = True
            if not _own_need(step, before):
                step = step.model_copy(update={"needs": (*step.needs, *before)})
        if late:
            behind.add(step.id)
        waiting.append(step)
    return [*waiting, *made]


def _urgent(accepted: Mapping[str, str], steps: Sequence[Step], tier: int) -> list[str]:
    """After which steps the stores serve that are as critical as a tier; all stores where none is, for then the step
    is about those."""
    known = {step.id: step.tier for step in steps}
    return [step for step in accepted.values() if known[step] <= tier] or list(accepted.values())


def _behind_data(steps: Sequence[Step], made: Sequence[Step]) -> list[Step]:
    """Services begin once the scenario's own steps with the data of their tier and of more critical ones ended; a step
    that itself needs a service comes after services, and holds none."""
    after: set[str] = {step.id for step in steps if step.phase == "services"}
    waiting = [*steps, *made]
    while more := [step for step in waiting if step.id not in after and after & {*step.needs}]:
        after |= {step.id for step in more}
    own = [step for step in made if step.phase == "data" and step.id not in after]
    if not own:
        return list(steps)
    held = []
    for step in steps:
        if step.phase == "services" and f"{step.subject}.start" not in step.needs:
            data = [one.id for one in own if one.tier <= step.tier and one.id not in step.needs]
            step = step.model_copy(update={"needs": (*step.needs, *data)})
        held.append(step)
    return held


def _estimate(
    durations: Durations, action: str, subject: str, declared: timedelta | None, person: bool = False
) -> Estimate:
    """What was measured goes before what was declared, unless a `person` is waited for: a site measures only what
    comes after their answer."""
    past = durations(action, subject)
    if past is not None and (not person or (declared is None and action != "manual")):
        return measured(past)
    return Estimate(seconds=declared.total_seconds(), basis="declared") if declared is not None else Estimate()


def _own_need(step: Step, before: tuple[str, ...]) -> bool:
    return any(need in before for need in step.needs)


def _own(
    documents: Documents,
    identity: str,
    name: str,
    phase: Phase,
    tier: int,
    needs: tuple[str, ...],
    own: OwnStep,
    home: str,
    durations: Durations,
) -> Step:
    params: dict[str, object] = {}
    if own.run is not None:
        params["run"] = list(own.run)
    else:
        params["manual"] = own.manual or name
        # Whoever approves it says with that that it is done.
        params["answer"] = {"by": {"approval": "by"}}
    for key, value in (("undo", own.undo), ("probe", own.probe)):
        if value is not None:
            params[key] = list(value)
    if own.run_as is not None:
        params["run_as"] = own.run_as
    timeout = own.timeout.total_seconds()
    if own.run is not None:
        params["timeout"] = timeout
    if own.by is not None and own.run is None:
        params["by"] = own.by
    site = own.site or home
    action = "command" if own.run is not None else "manual"
    approve = _question(own)
    return new_step(
        action,
        id=identity,
        title=own.manual or name.replace("-", " "),
        reason=f"{called(documents, own.by)} does it" if own.by else "a step of the scenario's own",
        site=site,
        tier=tier,
        phase=phase,
        subject=name,
        params=params,
        declared=(f"sites/{site}",) if site in documents.sites else (),
        needs=needs,
        reversible=own.undo is not None,
        approve=approve,
        on_error=own.on_error,
        estimate=_estimate(durations, action, name, own.estimate, bool(approve)),
        seconds=timeout,
    )


def _question(own: OwnStep) -> str:
    """What the person is asked who approves a step, and who that is."""
    if own.run is not None or own.approve:
        return own.approve or ""
    return f"{own.by}: is it done?" if own.by else "is it done?"
