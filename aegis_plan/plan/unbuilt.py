"""Steps that can be planned and that nothing does yet: what they mean for a plan. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_plan.plan.plan import PlanFinding
from aegis_plan.plan.step import Step


def refusals(steps: Sequence[Step], way_on: str = "") -> tuple[PlanFinding, ...]:
    """One error that names every such step: a plan with one of them can be read and never applied. `way_on` says what
    can be done instead."""
    names = [step.id for step in steps if not step.built]
    if not names:
        return ()
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return (
        PlanFinding(
            severity="error",
            code="step-not-built",
            summary="this version can plan steps of this plan and not do them",
            detail=f"{len(names)} of {len(steps)} steps: {shown}",
            hint="read the plan and save it; what those steps say has to be done by hand"
            + (f", or {way_on}" * bool(way_on)),
        ),
    )


def left_out(store: str, engine: str, steps: Sequence[Step]) -> PlanFinding:
    """A warning for a store that a plan of protection goes without: one engine that cannot be backed up yet must not
    keep the others from it, and must not look protected either."""
    would = "; ".join(step.title for step in steps)
    return PlanFinding(
        severity="warning",
        code="store-not-protected",
        summary="this version cannot back this store up",
        detail=f"{store} is of engine {engine}, which is planned for and not built"
        + (f"; left out of this plan: {would}" if would else ""),
        hint="protect it by other means until then; it counts as unprotected",
        subject=store,
    )
