"""The plan that lets expired backups go, asked for by hand. Pure."""

from __future__ import annotations

from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan import orphans
from aegis_plan.plan.asks import asks
from aegis_plan.plan.assembly import assembled
from aegis_plan.plan.plan import Intent, Plan, PlanFinding
from aegis_plan.plan.protect import unique, unreachable
from aegis_plan.plan.prune_history import prune_history
from aegis_plan.plan.step import Step
from aegis_plan.stores.retention import prune
from aegis_plan.stores.specs import spec


def plan_prune(documents: Documents, snapshot: Snapshot, digest: str, tool: str, intent: Intent) -> Plan:
    """What expired, of the stores of the intent or of all; `intent.options` may hold `at_once` and `accept_shorter`."""
    steps: list[Step] = []
    findings: list[PlanFinding] = list(unreachable(snapshot))
    choices: list[str] = []
    for ask in asks(documents, snapshot, intent.stores or tuple(documents.stores)).values():
        if ask.store.backup is None:
            continue
        recipe = prune(
            ask,
            spec(ask.store.engine),
            at_once=bool(intent.options.get("at_once")),
            accept_shorter=bool(intent.options.get("accept_shorter")),
            asked=True,
        )
        steps.extend(recipe.steps)
        findings.extend(recipe.findings)
        choices.extend(recipe.choices)
    steps.extend(prune_history(documents, snapshot))
    if not intent.stores:
        findings.extend(orphans.told(documents, snapshot))
    return assembled(documents, snapshot, digest, tool, intent, steps, unique(tuple(findings)), choices)
