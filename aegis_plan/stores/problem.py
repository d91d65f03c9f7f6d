"""What a plan says of the store that it is asked about, for every kind of store. Pure."""

from __future__ import annotations

from aegis_plan.plan.plan import PlanFinding
from aegis_plan.stores.contract import Ask


def problem(ask: Ask, severity: str, code: str, summary: str, detail: str = "", hint: str = "") -> PlanFinding:
    """A finding about the store that is asked about."""
    return PlanFinding.model_validate(
        {
            "severity": severity,
            "code": code,
            "summary": summary,
            "detail": detail,
            "hint": hint,
            "subject": ask.name,
        }
    )
