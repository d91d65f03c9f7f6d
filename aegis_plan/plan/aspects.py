"""Which part of a protection plan belongs to the data of a store and which to its log, so that the log goes on while a
full backup takes hours. Pure; it knows aspects by the leases that steps need."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_plan.plan.step import Step

LOG, DATA = "log", "data"


def aspect(step: Step) -> str:
    """The aspect that a step works on. What has neither lease nor resource of the log is data."""
    name = step.lease or step.resource
    return LOG if name.rpartition("/")[2] == LOG else DATA


def only(steps: Sequence[Step], wanted: Sequence[str]) -> tuple[Step, ...]:
    """The steps of the aspects wanted. Where a step of the data needs one of the log, as the first full needs the slot
    that keeps its log, the store's steps stay together."""
    if not wanted or set(wanted) >= {DATA, LOG}:
        return tuple(steps)
    by_name = {step.id: step for step in steps}
    together = {
        step.subject
        for step in steps
        if aspect(step) == DATA and any(aspect(by_name[need]) == LOG for need in step.needs if need in by_name)
    }
    kept = [step for step in steps if step.subject in together or aspect(step) in wanted]
    names = {step.id for step in kept}
    return tuple(_without_others(step, names) for step in kept)


def _without_others(step: Step, names: set[str]) -> Step:
    if {*step.needs, *step.builds_on} <= names:
        return step
    return step.model_copy(
        update={
            "needs": tuple(need for need in step.needs if need in names),
            "builds_on": tuple(need for need in step.builds_on if need in names),
        }
    )
