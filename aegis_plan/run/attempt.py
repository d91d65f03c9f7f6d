"""Making an attempt out of a step: references resolved from the journal, the excerpt of the documents, what earlier
attempts left. It sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from aegis_plan.dispatch.contract import Attempt, Earlier, Mark, Verb
from aegis_plan.documents.excerpt import excerpt
from aegis_plan.errors import AegisError
from aegis_plan.journal.replay import RunState
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.step import Step

START_WITHIN = timedelta(seconds=60)
"""How long after it was handed over an attempt may begin."""
UNDO_TIMEOUT = 3600.0
"""An undo gets at least this many seconds, however short the step's own time is."""


class Workbench:
    """Makes the attempts of one run; keeps the excerpts that several steps share."""

    def __init__(self, plan: Plan, run: str) -> None:
        self._plan, self._run = plan, run
        self._excerpts: dict[tuple[str, ...], dict[str, Any]] = {}

    def make(self, step: Step, state: RunState, verb: Verb, number: int, epoch: int, now: datetime) -> Attempt:
        """The attempt. Raises AegisError `output-missing` or `not-declared`, before anything was sent."""
        mine = state.step(step.id)

        def outputs(name: str) -> dict[str, Any]:
            return state.step(name).outputs

        return Attempt(
            run=self._run,
            step=step.id,
            verb=verb,
            number=number,
            epoch=epoch,
            site=step.site,
            resource=step.resource,
            action=step.action,
            params=resolved(step.params, self._run, outputs, step.id, state.approvals.get(step.id, {})),
            declared=self._declared(step.declared),
            outputs={name: outputs(name) for name in step.builds_on},
            earlier=Earlier(
                marks=tuple(Mark.model_validate(mark) for mark in mine.marks),
                outputs=mine.outputs if verb != "act" else {},
            ),
            start_by=now + START_WITHIN,
            timeout=max(step.timeout, UNDO_TIMEOUT) if verb == "undo" else step.timeout,
        )

    def _declared(self, names: tuple[str, ...]) -> dict[str, Any]:
        found = self._excerpts.get(names)
        if found is None:
            found = self._excerpts[names] = excerpt(self._plan.documents, names).model_dump(mode="json")
        return found


def resolved(
    value: Any, run: str, outputs: Callable[[str], dict[str, Any]], step: str, approval: Mapping[str, Any]
) -> Any:
    """Parameters with `{"run": "id"}`, `{"output": "step.field"}` and `{"approval": "by"}` replaced by what they stand
    for."""
    if isinstance(value, list | tuple):
        return [resolved(item, run, outputs, step, approval) for item in value]
    if not isinstance(value, dict):
        return value
    if value == {"run": "id"}:
        return run
    if value == {"approval": "by"}:
        return approval.get("by", "")
    if set(value) == {"output"} and isinstance(value["output"], str):
        name, _, field = value["output"].rpartition(".")
        found = outputs(name)
        if field not in found:
            raise AegisError(
                "output-missing",
                "a step needs what an earlier one did not give",
                f"{step} needs '{field}' of {name or 'nothing'}",
                "see how that step ended; make a new plan",
            )
        return found[field]
    return {key: resolved(item, run, outputs, step, approval) for key, item in value.items()}
