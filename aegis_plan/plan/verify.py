"""The plan that verifies copies, asked for by hand. Pure."""

from __future__ import annotations

from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan.asks import asks
from aegis_plan.plan.assembly import assembled
from aegis_plan.plan.plan import Intent, Plan, PlanFinding
from aegis_plan.plan.protect import unique, unreachable
from aegis_plan.plan.step import Step
from aegis_plan.stores.verification import asked


def plan_verify(documents: Documents, snapshot: Snapshot, digest: str, tool: str, intent: Intent) -> Plan:
    """Of the stores of the intent or of all; `intent.options` may hold `data` (0 to 1), `repositories` and `sets`."""
    steps: list[Step] = []
    findings: list[PlanFinding] = list(unreachable(snapshot))
    sets = tuple(intent.options.get("sets") or ())
    for ask in asks(documents, snapshot, intent.stores or tuple(documents.stores)).values():
        recipe = asked(ask, intent.options.get("data"), tuple(intent.options.get("repositories") or ()), sets)
        steps.extend(recipe.steps)
        findings.extend(recipe.findings)
    if sets and not steps and not findings:
        findings.append(
            PlanFinding(
                severity="error",
                code="set-unknown",
                summary="no repository has such a backup set",
                detail=", ".join(sets),
                hint="'aegis catalog' lists the sets there are",
            )
        )
    return assembled(documents, snapshot, digest, tool, intent, steps, unique(tuple(findings)))
