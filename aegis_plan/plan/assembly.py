"""A plan of steps and findings, with what every plan carries of what it was made from. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan.order import ordered
from aegis_plan.plan.plan import Intent, Plan, PlanFinding, limit
from aegis_plan.plan.step import Step


def assembled(
    documents: Documents,
    snapshot: Snapshot,
    digest: str,
    tool: str,
    intent: Intent,
    steps: Sequence[Step],
    findings: Sequence[PlanFinding],
    choices: Sequence[str] = (),
) -> Plan:
    """The steps in their order; findings and choices as they are given."""
    return Plan(
        tool=tool,
        system=documents.system.name,
        intent=intent,
        documents=documents,
        documents_digest=digest,
        snapshot=snapshot,
        steps=ordered(steps),
        findings=tuple(findings),
        choices=tuple(choices),
        made_at=snapshot.taken_at,
        parallelism=limit(intent),
    )
