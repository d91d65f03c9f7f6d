"""The plan of one backup asked for by hand. Pure."""

from __future__ import annotations

from typing import Literal, cast

from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan.asks import asks
from aegis_plan.plan.assembly import assembled
from aegis_plan.plan.plan import Intent, Plan, PlanFinding
from aegis_plan.plan.protect import unique, unreachable
from aegis_plan.plan.step import Step
from aegis_plan.plan.unbuilt import refusals
from aegis_plan.stores.specs import spec

METHODS = ("full", "incremental", "log")


def plan_backup(documents: Documents, snapshot: Snapshot, digest: str, tool: str, intent: Intent) -> Plan:
    """A backup of each store of the intent; `intent.options["method"]` is full, incremental or log, default full."""
    method = intent.options.get("method") or "full"
    steps: list[Step] = []
    findings: list[PlanFinding] = list(unreachable(snapshot))
    choices: list[str] = []
    if method not in METHODS:
        findings.append(
            PlanFinding(
                severity="error",
                code="method-unknown",
                summary="no such way of backing up",
                detail=f"'{method}' is not one of {', '.join(METHODS)}",
                hint="ask for full, incremental or log",
            )
        )
    else:
        for ask in asks(documents, snapshot, intent.stores or tuple(documents.stores)).values():
            recipe = spec(ask.store.engine).backup(ask, cast(Literal["full", "incremental", "log"], method))
            steps.extend(recipe.steps)
            findings.extend(recipe.findings)
            choices.extend(recipe.choices)
    findings.extend(refusals(steps))
    return assembled(documents, snapshot, digest, tool, intent, steps, unique(tuple(findings)), choices)
