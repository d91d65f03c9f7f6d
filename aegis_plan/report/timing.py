"""The time of a plan as people read it: the critical path, what runs side by side, and the limit of steps at once."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from aegis_plan.documents.scalars import span
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.schedule import Schedule, schedule
from aegis_plan.report.terminal import indented, letters

_PATH = 12
_GROUPS = 4
_GROUP = 5


def show_time(plan: Plan, out: Console) -> None:
    """Prints the section; nothing for a plan of one step."""
    if len(plan.steps) < 2:
        return
    found = schedule(plan)
    out.print()
    out.print(Text("Time", style="head"))
    for text in (total(found), path(plan, found), together(found)):
        if text:
            indented(out, Text(letters(out, text), style="quiet"), 2)


def total(found: Schedule) -> str:
    """How long all takes, and the limit."""
    text = f"{span(found.total)} for all {len(found.steps)} steps"
    if found.unknown:
        many = len(found.unknown)
        text += f" at least: {many} step{'s' if many > 1 else ''} of unknown length count as nothing"
    text += f"; at most {found.parallel} at once"
    return text + (", and steps wait for that: --parallelism raises it" if found.full else "")


def path(plan: Plan, found: Schedule) -> str:
    """The critical path, the longest steps of it where it is long."""
    known = {step.id: step for step in plan.steps}
    told = list(found.path)
    if len(told) > _PATH:
        longest = sorted(told, key=lambda name: -(known[name].estimate.seconds or 0.0))[:_PATH]
        told = [name for name in told if name in set(longest)]
    names = [f"{name} ({span(known[name].estimate.seconds)})" for name in told]
    left = len(found.path) - len(told)
    return f"critical path: {' → '.join(names)}" + (f"; {left} shorter ones between them" if left else "")


def together(found: Schedule) -> str:
    """The first groups that run side by side."""
    if not found.together:
        return "one step at a time: each waits for another"
    groups = [
        ", ".join(group[:_GROUP]) + (f" and {len(group) - _GROUP} more" if len(group) > _GROUP else "")
        for group in found.together[:_GROUPS]
    ]
    left = len(found.together) - len(groups)
    return f"at the same time: {'; '.join(groups)}" + (f"; and {left} more groups" if left else "")
