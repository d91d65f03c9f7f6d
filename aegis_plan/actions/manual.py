"""The step `manual`: a person acts, and their answer is kept. It does nothing by itself and never assumes an answer."""

from __future__ import annotations

from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.errors import AegisError


class Manual:
    """Params: `answer`, a map with at least `by`, once somebody answered."""

    kind = "manual"

    def probe(self, context: Context) -> Probed:
        answer = _answer(context)
        return Probed("unknown", "only a person knows") if answer is None else Probed("satisfied", outputs=answer)

    def act(self, context: Context) -> Done:
        answer = _answer(context)
        if answer is None:
            raise AegisError(
                "manual-unanswered",
                "a person has to act and has not answered",
                context.attempt.step,
                "do what the step says, then approve it with 'aegis approve'",
            )
        return Done(answer)

    def undo(self, context: Context) -> Done:
        return self.act(context)


def _answer(context: Context) -> dict[str, Any] | None:
    answer = context.attempt.params.get("answer")
    return dict(answer) if isinstance(answer, dict) and answer.get("by") else None
