"""One step of a plan as people read about it: why, when, what it waits for and what waits for it."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from aegis_plan.documents.scalars import span
from aegis_plan.plan.explain import Explanation
from aegis_plan.plan.schedule import Timing
from aegis_plan.plan.step import Fact
from aegis_plan.report.gist import MEANINGS
from aegis_plan.report.terminal import indented, letters

_COLUMN = 16
_NAMES = 6
"""So many names are told; of more, how many."""


def show_step(found: Explanation, out: Console) -> None:
    """Prints an explanation, one line or paragraph for each question."""
    step = found.step
    out.print()
    out.print(Text(letters(out, f"{step.id}: {step.title}"), style="head"))

    def row(label: str, text: str, style: str = "") -> None:
        if text:
            indented(out, Text(letters(out, text), style=style), _COLUMN, Text(f"  {label}", style="quiet"))

    row("why", step.reason)
    if not step.built:
        row("not built", "nothing does this yet: a plan with it cannot be applied")
    row("where", f"step {found.place} of {found.of}, {found.tier}, phase {step.phase}, at {step.site}")
    row("does", f"{MEANINGS[step.symbol]} ({step.action})" + (f" {step.subject}" if step.subject else ""))
    row("time", found.rest_on)
    row("begins", begins(found.timing))
    row("ends", ends(found))
    row("slack", slack(found.timing), "warn" if found.timing.critical else "")
    row("waits for", names(found.needs) or "nothing: it begins with the run")
    row("gates", names(found.gates))
    row("binding", binding(found.timing))
    row("beside it", names(found.beside))
    row("never beside", names(found.same_resource))
    row("next", names(found.followers) or "no step waits for it")
    for tier, steps in found.dependents.items():
        row(f"tier {tier}", f"{len(steps)} wait for it: {names(steps)}")
    row("approval", step.approve, "warn")
    row("undo", found.undo, "bad" if step.destructive and not step.reversible else "")
    row("on failure", failure(found))
    row("ends after", f"{span(step.timeout)} at the latest, each time it is tried")
    row("changes", names(step.changes))
    for fact in step.facts:
        row("rests on", rests(fact))


def names(steps: tuple[str, ...]) -> str:
    """Names with commas, the first few of many."""
    text = ", ".join(steps[:_NAMES])
    return text + (f" and {len(steps) - _NAMES} more" if len(steps) > _NAMES else "")


def begins(timing: Timing) -> str:
    """When it begins, counted from the beginning of the run."""
    if timing.late:
        return f"{span(timing.begin)} after the run began at least; nobody knows how long {names(timing.late)} takes"
    return f"{span(timing.begin)} after the run began" if timing.begin else "at once"


def ends(found: Explanation) -> str:
    """When it ends, and of what."""
    least = "" if found.timing.exact else " at least"
    total = span(found.total) + ("" if found.total_known else " at least")
    return f"{span(found.timing.end)} after the run began{least}; the run takes {total}"


def slack(timing: Timing) -> str:
    """How late it may be."""
    if timing.critical:
        return "none: it is on the critical path"
    if timing.slack is None:
        return "not known, as the length of a step before, behind or of this one is not known"
    return f"it may be {span(timing.slack)} late without moving the end" if timing.slack else "none"


def binding(timing: Timing) -> str:
    """What keeps it from beginning sooner."""
    because = {
        "need": "which it needs",
        "gate": "a health gate of a more critical tier",
        "resource": "which has the same resource until then",
        "room": "as there is no room for more steps at once until then",
    }
    return f"{timing.binding}, {because[timing.hold]}" if timing.hold else ""


def failure(found: Explanation) -> str:
    """What follows from a failure, in short."""
    step = found.step
    text = f"tried {step.retries + 1} times" if step.retries else "tried once"
    if not step.repeatable:
        text += ", and never again without a person's word"
    text += "; the run goes on without it" if step.on_error == "continue" else "; what waits for it does not run"
    return f"{text} ('--what-if-fails {step.id}' tells all)"


def rests(fact: Fact) -> str:
    """What must still hold when it begins."""
    if fact.at_least is not None:
        return f"{fact.name} of at least {fact.at_least:g}"
    value = "nothing" if fact.value is None else fact.value
    return f"{fact.name} = {value}" + (f", give or take {fact.tolerance:g}" if fact.tolerance is not None else "")
