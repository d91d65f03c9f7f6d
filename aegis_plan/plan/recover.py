"""The plan of a recovery: stores back in tier order, then what hangs on them, with what that promises. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aegis_plan.documents.model import Documents, Scenario
from aegis_plan.errors import AegisError, UsageError
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan import cautions
from aegis_plan.plan.asks import asks, durations_of, store_tiers
from aegis_plan.plan.forecast import forecast_recovery, losses_unknown
from aegis_plan.plan.order import ordered
from aegis_plan.plan.plan import STANDS_IN, Intent, Plan, PlanFinding, is_position, limit
from aegis_plan.plan.protect import unique, unreachable
from aegis_plan.plan.services import Why, concerned, dependents, own_steps, service_steps
from aegis_plan.plan.serving import Serving, serving, stuck
from aegis_plan.plan.step import Step
from aegis_plan.plan.strategy import Wish, choose, well
from aegis_plan.plan.unbuilt import refusals
from aegis_plan.plan.unsigned import without_signature
from aegis_plan.stores.contract import Ask, RecoveryPoint, Target


def plan_recovery(documents: Documents, snapshot: Snapshot, intent: Intent, digest: str, tool: str) -> Plan:
    """A plan for a scenario or for the stores of the intent; what stands against it is among its findings.

    Raises UsageError `time-unreadable`, `scenario-unknown` or `nothing-to-recover`."""
    scenario = _scenario(documents, intent)
    target, failed_at = _target(intent), _moment(intent.failed_at)
    taken = {*(scenario.lost_sites if scenario is not None else ())} - {intent.options.get(STANDS_IN)}
    down = tuple(sorted({*intent.sites_down, *taken}))
    why = concerned(documents, intent, scenario)
    names = tuple(why)
    if not names and not (scenario is not None and scenario.affects.services):
        raise UsageError(
            "nothing-to-recover",
            "nothing says what to recover",
            "neither the scenario nor the command line names a store, a service or a site with one",
            "add --store NAME, or 'affects:' to the scenario",
        )
    strategy = _strategy(intent, scenario)
    findings: list[PlanFinding] = list(unreachable(snapshot))
    if scenario is not None and not intent.beside:
        findings.extend(cautions.unclear(documents, scenario, intent, names))
    choices: list[str] = []
    steps: list[Step] = []
    points: dict[str, RecoveryPoint] = {}
    accepted: dict[str, str] = {}
    recovered: list[str] = []
    promoted = False
    past = durations_of(snapshot)
    questions = asks(documents, snapshot, names, down, bool(intent.options.get("give_up_old_data")))
    for name, ask in questions.items():
        way = choose(ask, _wish(intent, scenario, strategy, target, why[name], ask, len(questions)), scenario)
        recipe = way.recipe
        findings.extend(recipe.findings)
        choices.extend(recipe.choices)
        own, unprotected = without_signature(documents, snapshot, name, recipe.steps)
        findings.extend((unprotected,) if unprotected is not None else ())
        steps.extend(own)
        if way.kind != "leave":
            recovered.append(name)
        promoted = promoted or way.kind == "failover"
        if recipe.point is not None:
            points[name] = recipe.point
        if recipe.steps:
            # Of a recipe that names none, all is waited for.
            accepted[name] = recipe.serves or recipe.steps[-1].id
    findings.extend(cautions.managed(documents, recovered))
    if names:
        findings.extend(cautions.target(scenario, intent.scenario, target != Target(selection=target.selection)))
    home = _home(documents, steps, down)
    hanging: tuple[str, ...] = ()
    if not intent.beside:
        hanging = dependents(documents, recovered, _struck(documents, scenario, down))
        if strategy == "partial":
            hanging = _without_well(documents, snapshot, hanging, recovered, choices)
        steps.extend(service_steps(documents, hanging, accepted, home, down, past))
    if scenario is not None and not intent.beside:
        steps = own_steps(documents, scenario, steps, accepted, home, past)
    try:
        line = ordered(steps)
    except AegisError as error:
        line = ()
        findings.append(
            PlanFinding(severity="error", code=error.code, summary=error.summary, detail=error.detail, hint=error.hint)
        )
    findings.extend(cautions.lost(line, down))
    findings.extend(refusals(line, "plan with '--strategy restore'" if promoted else ""))
    parallel = limit(intent)
    missing = tuple(name for name in recovered if name not in accepted) if not intent.beside else ()
    under = stuck(documents, hanging, missing)
    served = Serving(accepted, serving(documents, hanging, accepted, line), under) if line else Serving({}, {}, under)
    forecasts, breaches = forecast_recovery(
        documents, line, parallel, points, store_tiers(documents), scenario, failed_at, snapshot.taken_at, served
    )
    unknown = tuple(name for name in recovered if name not in points)
    forecasts = (*forecasts, *losses_unknown(documents, unknown, store_tiers(documents), scenario))
    if scenario is not None:
        findings.extend(cautions.experimental(documents, ("channels",)))
    return Plan(
        tool=tool,
        system=documents.system.name,
        intent=intent,
        documents=documents,
        documents_digest=digest,
        snapshot=snapshot,
        steps=line,
        findings=unique((*findings, *breaches)),
        forecasts=forecasts,
        serves=accepted,
        choices=tuple(choices),
        made_at=snapshot.taken_at,
        parallelism=parallel,
    )


def _scenario(documents: Documents, intent: Intent) -> Scenario | None:
    if not intent.scenario:
        return None
    if intent.scenario not in documents.scenarios:
        raise UsageError(
            "scenario-unknown",
            "the documents have no such scenario",
            f"there is no scenario '{intent.scenario}'",
            f"declared: {', '.join(sorted(documents.scenarios)) or 'none'}",
        )
    return documents.scenarios[intent.scenario]


def _strategy(intent: Intent, scenario: Scenario | None) -> str:
    """What was asked for on the command line, else what the scenario says."""
    return intent.strategy or (scenario.strategy if scenario is not None else "restore")


def _wish(
    intent: Intent, scenario: Scenario | None, strategy: str, target: Target, why: Why, ask: Ask, count: int
) -> Wish:
    member, name = intent.options.get("member"), ask.name
    # Where the disaster takes sites, a service that is down says nothing of a store that stands elsewhere.
    only_site = why == "site" or (why == "used" and scenario is not None and bool(scenario.lost_sites))
    return Wish(
        strategy=strategy,
        target=target,
        member=member if member in ask.store.members or count == 1 else None,
        restore_to=scenario.restore_to.get(name) if scenario is not None else None,
        beside=_beside(intent.beside, name, count) if intent.beside else None,
        struck=not only_site,
        struck_sites=(*ask.sites_down, *(scenario.affects.sites if scenario is not None else ())),
        spoiled=scenario is not None and scenario.effect.spoils_replicas,
    )


def _struck(documents: Documents, scenario: Scenario | None, down: tuple[str, ...]) -> tuple[str, ...]:
    """Services that the scenario names, and those that run at a lost site."""
    named = scenario.affects.services if scenario is not None else ()
    lost = (name for name, service in documents.services.items() if set(service.runs_at) & set(down))
    return tuple(dict.fromkeys((*named, *lost)))


def _without_well(
    documents: Documents, snapshot: Snapshot, hanging: tuple[str, ...], recovered: list[str], choices: list[str]
) -> tuple[str, ...]:
    """Without the services that a partial recovery leaves alone."""
    healthy = frozenset(name for name, look in snapshot.services.items() if look.verdict == "pass")
    back = frozenset(recovered)
    alone = dict.fromkeys(name for name in hanging if well(documents, healthy, back, name))
    if alone:
        choices.append(f"partial: left alone, since they are seen healthy with all that they use: {', '.join(alone)}")
    return tuple(name for name in hanging if name not in alone)


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            "time-unreadable", "not a time", f"'{text}' cannot be read", "write it as 2026-11-23T14:05:00Z"
        ) from None
    return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _target(intent: Intent) -> Target:
    if intent.before:
        infected = _moment(intent.before)
        return Target(infected - timedelta(microseconds=1) if infected is not None else None, None, intent.selection)
    if intent.to in ("", "latest"):
        return Target(selection=intent.selection)
    if is_position(intent.to):
        return Target(position=intent.to, selection=intent.selection)
    return Target(time=_moment(intent.to), selection=intent.selection)


def _beside(folder: str, store: str, count: int) -> str:
    return folder if count == 1 else f"{folder.rstrip('/')}/{store}"


def _home(documents: Documents, steps: list[Step], down: tuple[str, ...]) -> str:
    """Where steps without a site of their own run: where the first store comes back, else the first site left."""
    if steps:
        return steps[0].site
    return next((site for site in documents.sites if site not in down), next(iter(documents.sites), ""))
