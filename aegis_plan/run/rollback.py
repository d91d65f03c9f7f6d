"""What is taken back when a step fails: everything reversible of its subject, newest first, once people were touched,
and what only this run could use before that. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from aegis_plan.journal.file import Draft
from aegis_plan.journal.replay import RunState
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.step import Step
from aegis_plan.run.skipped import skips


def undo_order(plan: Plan, state: RunState, failed: Step) -> list[str]:
    """The steps to undo after `failed`, in that order; empty when nothing has to be taken back.

    Before a destructive step was sent only what serves this run alone is taken back, such as staged data, which would
    stand in the way of the next run; the rest serves that one too. After it everything is, and only while there is a
    way back: once a step that cannot be undone has altered or removed something (restored data was accepted, say),
    going back would lose more than it saves. What merely adds, such as an archived piece of log, bars no way."""
    mine = [step for step in plan.steps if step.subject == failed.subject] if failed.subject else [failed]
    sent = [step for step in mine if _acted(state, step)]
    touched = any(step.destructive for step in sent)
    if any((state.step(step.id).state == "done" and barring(step)) or removed(step, state) for step in sent):
        return []
    order = sorted(
        (
            step
            for step in sent
            if step.reversible
            and (touched or step.scratch)
            and state.step(step.id).state in ("done", "failed", "waiting")
        ),
        key=lambda step: (
            state.step(step.id).began is not None,
            state.step(step.id).ended or state.step(step.id).began,
            plan.steps.index(step),
        ),
    )
    return [step.id for step in reversed(order)]


def given_up(plan: Plan, state: RunState, failed: Step, order: list[str]) -> list[Draft]:
    """What is left of a subject that is taken back, and all that needs it, never begins."""
    drafts = []
    for step in plan.steps:
        mine = state.step(step.id)
        if step.subject == failed.subject and step.id not in order and mine.state == "waiting":
            drafts.append(Draft("settled", step.id, {"state": "skipped", "cause": f"{step.subject} is taken back"}))
    known = {draft.step for draft in drafts}
    return drafts + [
        draft
        for draft in skips(plan, state, {*order, *known}, f"{failed.subject} is taken back")
        if draft.step not in known and draft.step not in order
    ]


def next_undos(state: RunState, held: Callable[[str], bool]) -> list[str]:
    """The next undo of each subject, one at a time and strictly in order; none while that step is `held`: on its way,
    or not due yet."""
    found = []
    for order in state.rollbacks.values():
        for name in order:
            mine = state.step(name)
            if mine.state in ("undone", "undo-failed") or (mine.state == "skipped" and mine.undoing):
                continue
            if mine.state != "asked" and not held(name):
                found.append(name)
            break
    return found


def barring(step: Step) -> bool:
    """Whether no way leads back over this step once it is done."""
    return not step.reversible and step.symbol not in ("+", "<=")


def removing(steps: Iterable[Step]) -> dict[str, list[Step]]:
    """The steps that take something away for good, by subject: few, so that each outcome need not look at all steps."""
    found: dict[str, list[Step]] = {}
    for step in steps:
        if _removes(step):
            found.setdefault(step.subject, []).append(step)
    return found


def bound(removers: Mapping[str, Sequence[Step]], state: RunState, step: Step, marked: bool = False) -> bool:
    """Whether nothing but going on brings back what a step is about: something of its subject was removed for good, by
    an earlier step (one of the `removers`) or, where the attempt at hand left a mark (`marked`), by itself."""
    if step.on_error != "stop" or not step.subject:
        return False
    if marked and _removes(step):
        return True
    return any(removed(other, state) for other in removers.get(step.subject, ()))


def removed(step: Step, state: RunState) -> bool:
    """Whether a step that takes something away for good began with that. Such a step leaves a mark before it touches
    anything, so that one without a mark refused or was stopped before."""
    mine = state.step(step.id)
    return _removes(step) and (mine.state == "done" or bool(mine.marks))


def _removes(step: Step) -> bool:
    return step.destructive and not step.reversible


def _acted(state: RunState, step: Step) -> bool:
    return state.step(step.id).numbers.get("act", 0) > 0
