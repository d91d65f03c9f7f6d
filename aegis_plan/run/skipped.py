"""Which steps can never begin any more, because what they need did not succeed. Pure."""

from __future__ import annotations

from collections.abc import Collection

from aegis_plan.journal.file import Draft
from aegis_plan.journal.replay import RunState, StepState
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.step import Step


def met(step: Step, mine: StepState) -> bool:
    """Whether the steps that need this one may begin."""
    if mine.state == "done" or mine.passed_over:
        return True
    return mine.failed_once and step.on_error == "continue"


def over(step: Step, mine: StepState) -> bool:
    """Whether the step ended and nothing that needs it may begin."""
    return (mine.settled or mine.failed_once) and not met(step, mine)


def skips(plan: Plan, state: RunState, ended: Collection[str], cause: str) -> list[Draft]:
    """Ends all that never began and needs one of `ended`, directly or by others."""
    lost, drafts = set(ended), []
    for step in plan.steps:
        if lost.isdisjoint(step.needs):
            continue
        mine = state.step(step.id)
        lost.add(step.id)
        if not mine.settled and not mine.numbers:
            drafts.append(Draft("settled", step.id, {"state": "skipped", "cause": cause}))
    return drafts
