"""What would become of a plan if a step failed or a site were down, as people read it."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console
from rich.text import Text

from aegis_plan.documents.scalars import span
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.what_if import Moved, SiteDown
from aegis_plan.report.gist import VERDICTS
from aegis_plan.report.plan import show_finding
from aegis_plan.report.step import names
from aegis_plan.report.terminal import indented, letters
from aegis_plan.run.what_if import Back, Failure

_BECOMES = {
    "failed": "It fails, and with it what waits for it.",
    "passed": "It fails, and the run goes on without it.",
    "asked": "The run puts it to a person: doing it twice may do harm. What waits for it waits for the answer.",
    "held": "It is held: something was removed for good, and only going on leads out. 'aegis resume' tries it again.",
}
_LINES = 12


def show_failure(plan: Plan, found: Failure, out: Console) -> None:
    """Prints what becomes of the run, the summary line last."""
    _head(out, f"If {found.step} fails")
    times = "once" if found.attempts == 1 else f"{found.attempts} times"
    _text(out, f"{_BECOMES[found.becomes]} It is tried {times}. Everything else counts as succeeding in its time.")
    _part(out, "Does not run", _grouped(plan, found.not_run))
    _part(out, "Is taken back, in this order", [", ".join(found.undone)] if found.undone else [])
    _part(out, "Was done and stays", [names(found.stays)] if found.stays else [])
    down = [f"store {name}: {_old(plan, name, found)}" for name in found.stores_down]
    for tier, of_tier in groupby((one for one in found.down if one.about == "service"), key=lambda one: one.tier):
        services = tuple(one.subject for one in of_tier)
        down.append(f"tier {tier}: {len(services)} service{'s' if len(services) > 1 else ''}: {names(services)}")
    _part(out, "Is not brought back by this run", down)
    _part(out, "Back in", [_back(one) for one in found.back if one.about == "tier"])
    out.print()
    rest = len(found.not_run)
    out.print(
        Text(
            f"If it fails: {rest} of {len(plan.steps)} steps do not run, {len(found.undone)} are taken back, "
            f"the run ends as '{found.verdict}', exit code {found.exit_code}.",
            style="head",
        )
    )


def _old(plan: Plan, store: str, found: Failure) -> str:
    """What people have of a store that is not brought back."""
    look = plan.snapshot.stores.get(store)
    served = look is not None and look.primary is not None
    if found.old[store] == "untouched":
        return "not touched, its old server goes on" if served else "not touched, it stays as it was seen"
    if found.old[store] == "back":
        return "served by the old data again" if served else "its old data is back where it was, and not served"
    return "stays down"


def _back(one: Back) -> str:
    if one.down:
        return f"{one.subject}: not in this run (planned {span(one.planned)})"
    if span(one.then) == span(one.planned):
        return f"{one.subject}: {span(one.planned)}, as planned"
    return f"{one.subject}: {span(one.then)} (planned {span(one.planned)})"


def _grouped(plan: Plan, steps: tuple[str, ...]) -> list[str]:
    chosen = set(steps)
    by_tier: dict[int, list[str]] = {}
    for step in plan.steps:
        if step.id in chosen:
            by_tier.setdefault(step.tier, []).append(step.id)
    return [
        f"{f'tier {tier}' if tier else 'before all tiers'}: {len(of_tier)}: {names(tuple(of_tier))}"
        for tier, of_tier in sorted(by_tier.items())
    ]


def show_site_down(found: SiteDown, out: Console) -> None:
    """Prints what changes when a site is down, the summary line last."""
    _head(out, f"If {found.site} is down")
    if found.already:
        _text(out, "The plan counts with that anyway: nothing changes.")
        return
    _text(out, "The plan was made anew from the same documents and the same look at the world, without that site.")
    _part(out, "Can no longer be done for", list(found.lost))
    for finding in (*found.errors, *found.breaches):
        out.print()
        show_finding(finding, out)
    _part(out, "Forecast", [_moved(one) for one in found.moved])
    _part(out, "Steps", list(found.steps))
    out.print()
    errors = len(found.errors)
    word = (
        f"the plan cannot be applied, {errors} error{'s' if errors > 1 else ''}" if errors else "the plan still holds"
    )
    if not errors and not found.moved and not found.steps:
        word = "nothing changes"
    lost = f", {len(found.lost)} store{'s' if len(found.lost) != 1 else ''} lost" if found.lost else ""
    out.print(Text(f"If it is down: {word}{lost}.", style="bad" if errors or found.lost else "head"))


def _moved(one: Moved) -> str:
    text = f"{one.subject}: {one.objective.upper()} {span(one.planned)} -> {span(one.then)}"
    if not one.then_verdict:
        return f"{one.subject}: {one.objective.upper()} {span(one.planned)} -> nothing promises it any more"
    return f"{text}, {VERDICTS[one.then_verdict]}"


def _head(out: Console, text: str) -> None:
    out.print()
    out.print(Text(letters(out, text), style="head"))


def _text(out: Console, text: str) -> None:
    indented(out, Text(letters(out, text)), 2)


def _part(out: Console, title: str, lines: list[str]) -> None:
    if not lines:
        return
    out.print()
    out.print(Text(letters(out, f"  {title}"), style="quiet"))
    for line in lines[:_LINES]:
        indented(out, Text(letters(out, line)), 4)
    if len(lines) > _LINES:
        indented(out, Text(f"and {len(lines) - _LINES} more; --json has them all", style="quiet"), 4)
