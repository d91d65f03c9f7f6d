"""The plan without a scenario: what brings protection to what the documents declare. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan import aspects, cautions, orphans
from aegis_plan.plan.asks import asks
from aegis_plan.plan.forecast import exposures
from aegis_plan.plan.holdings import holdings
from aegis_plan.plan.order import ordered
from aegis_plan.plan.plan import Intent, Plan, PlanFinding, limit
from aegis_plan.plan.prune_history import prune_history
from aegis_plan.plan.publishing import publishing
from aegis_plan.plan.rewrap import rewraps
from aegis_plan.plan.step import Step
from aegis_plan.plan.unbuilt import left_out
from aegis_plan.stores.contract import Recipe
from aegis_plan.stores.copies import copies
from aegis_plan.stores.locking import locks
from aegis_plan.stores.retention import prune
from aegis_plan.stores.specs import spec
from aegis_plan.stores.verification import overdue


def plan_protection(
    documents: Documents, snapshot: Snapshot, digest: str, tool: str, intent: Intent | None = None
) -> Plan:
    """What is overdue, missing or off, for all stores or those that the intent names, `intent.options["aspects"]` of
    them. No steps: all is as declared."""
    asked = intent or Intent(kind="protect")
    names = asked.stores or tuple(documents.stores)
    steps: list[Step] = []
    findings: list[PlanFinding] = list(unreachable(snapshot))
    choices: list[str] = []
    own: dict[str, tuple[Step, ...]] = {}
    said: dict[str, tuple[PlanFinding, ...]] = {}
    wanted = asked.options.get("aspects") or ()
    questions = asks(documents, snapshot, names, asked.sites_down)
    for ask in questions.values():
        engine = spec(ask.store.engine)
        findings.extend(holdings(ask.name, ask.look.shelf))
        recipe = engine.protect(ask)
        if engine.built:
            made = tuple(step.id for step in recipe.steps if step.action == "backup" and not stuck(recipe.findings))
            # With many ranges of log this takes a while, and marks and deletions are of the data aspect.
            going = prune(ask, engine, after=made) if aspects.DATA in (wanted or (aspects.DATA,)) else Recipe()
            gone = {record for step in going.steps for record in step.params["records"]}
            more, lacking = copies(ask)
            more = [step for step in more if step.params.get("record") not in gone]
            old = overdue(ask, more)
            sure = () if stuck(recipe.findings) else recipe.steps
            held = locks(ask, engine, (*sure, *more))
            own[ask.name] = recipe.steps
            steps.extend((*more, *held, *going.steps, *old.steps))
            findings.extend((*lacking, *going.findings, *old.findings))
            choices.extend(going.choices)
        elif ask.store.backup is not None:
            findings.append(left_out(ask.name, engine.engine, recipe.steps))
        said[ask.name] = recipe.findings
        choices.extend(recipe.choices)
    alone = all(map(stuck, said.values()))
    findings.extend(apart(said, alone))
    steps.extend(step for name, made in own.items() if alone or not stuck(said[name]) for step in made)
    publish, doubts = publishing(documents, snapshot, asked)
    steps.extend(publish)
    findings.extend(doubts)
    steps.extend(prune_history(documents, snapshot))
    if not asked.stores:
        findings.extend(orphans.told(documents, snapshot))
    wrapped, doubts = rewraps(documents, snapshot, names)
    steps.extend(wrapped)
    findings.extend(doubts)
    forecasts, breaches = exposures(documents, questions)
    return Plan(
        tool=tool,
        system=documents.system.name,
        intent=asked,
        documents=documents,
        documents_digest=digest,
        snapshot=snapshot,
        steps=ordered(aspects.only(steps, wanted)),
        findings=unique((*findings, *breaches, *cautions.experimental(documents))),
        forecasts=forecasts,
        choices=tuple(choices),
        made_at=snapshot.taken_at,
        parallelism=limit(asked),
    )


def stuck(findings: Iterable[PlanFinding]) -> bool:
    """Whether these findings keep a store from being backed up."""
    return any(one.severity == "error" for one in findings)


def apart(found: Mapping[str, tuple[PlanFinding, ...]], alone: bool) -> Iterator[PlanFinding]:
    """The findings of each store's own recipe. What keeps one store from being backed up never keeps the others from
    it: unless it is `alone`, or all are stuck, an error is a breach, and the steps of that store are left out."""
    for findings in found.values():
        for one in findings:
            if one.severity == "error" and not alone:
                detail = f"{one.detail}; the other stores are protected meanwhile".removeprefix("; ")
                yield one.model_copy(update={"severity": "breach", "detail": detail})
            else:
                yield one


def unreachable(snapshot: Snapshot) -> tuple[PlanFinding, ...]:
    """Sites that did not answer: what is there is unknown, which is neither down nor fine."""
    return tuple(
        PlanFinding(
            severity="warning",
            code="site-unreachable",
            summary="a site does not answer",
            detail=f"{name}: {look.reason}",
            hint="what runs there is unknown to this plan; plan on a host that reaches it, or make this host a site "
            "with 'aegis keys new SITE'",
            subject=name,
        )
        for name, look in sorted(snapshot.sites.items())
        if not look.reachable
    )


def unique(findings: tuple[PlanFinding, ...]) -> tuple[PlanFinding, ...]:
    """Each finding once, the gravest first, otherwise as found."""
    rank = {"error": 0, "breach": 1, "warning": 2, "note": 3}
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: rank[finding.severity]))
