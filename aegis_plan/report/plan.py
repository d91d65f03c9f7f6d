"""A plan as people read it before they say yes: steps in their order, forecast, findings, one line of summary."""

from __future__ import annotations

from itertools import groupby
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from aegis_plan.plan.people import called
from aegis_plan.plan.plan import Forecast, Plan, PlanFinding
from aegis_plan.plan.schedule import schedule
from aegis_plan.plan.step import Step
from aegis_plan.report.terminal import indented, letters, moment, span
from aegis_plan.report.timing import show_time

STYLES = {"+": "add", "~": "change", "-/+": "replace", "-": "remove", "<=": "read"}
MEANINGS = {"+": "make", "~": "change", "-/+": "replace", "-": "remove", "<=": "look"}
VERDICTS = {
    "pass": ("within the objective", "good"),
    "fail": ("MISSES the objective", "bad"),
    "could_not_verify": ("not known", "warn"),
    "not_configured": ("no objective set", "quiet"),
}
SEVERITIES = {"error": "bad", "breach": "bad", "warning": "warn", "note": "quiet"}


def show_plan(plan: Plan, out: Console, *, briefly: bool = False) -> None:
    """Prints the whole plan, the summary line last; `briefly` leaves out what was read before: steps and forecast."""
    zone = ZoneInfo(plan.documents.system.timezone)
    out.print()
    out.print(Text(letters(out, f"{_title(plan)} · {plan.system}"), style="head"))
    asof = f"as of {moment(plan.snapshot.taken_at, zone)}"
    if plan.intent.kind in ("recover", "restore"):
        asof += f", back to {_target(plan, zone)}"
    out.print(Text(asof, style="quiet"))
    scenario = plan.documents.scenarios.get(plan.intent.scenario)
    if scenario is not None and scenario.commander is not None:
        out.print(Text(letters(out, f"led by {called(plan.documents, scenario.commander)}"), style="quiet"))
    if plan.findings:
        out.print()
        for finding in plan.findings:
            show_finding(finding, out)
    if plan.steps and not briefly:
        _show_steps(plan, out)
    if plan.steps and not briefly:
        show_time(plan, out)
    if plan.forecasts and not briefly and (plan.steps or plan.intent.kind in ("recover", "restore")):
        _show_forecasts(plan.forecasts, out)
    if plan.choices and not briefly:
        out.print()
        out.print(Text("Chosen", style="head"))
        for choice in plan.choices:
            indented(out, Text(letters(out, choice)), 2)
    out.print()
    out.print(Text(letters(out, summary(plan)), style="head" if plan.steps else "good"))


def _title(plan: Plan) -> str:
    names = ", ".join(plan.intent.stores)
    if plan.intent.kind == "protect":
        return "Plan to protect"
    if plan.intent.kind == "backup":
        return f"Plan to back up {names}"
    title = f"Plan to recover {names}" if names else "Plan to recover"
    if plan.intent.beside:
        title += f" beside, in {plan.intent.beside}"
    return f"{title} from {plan.intent.scenario}" if plan.intent.scenario else title


def _target(plan: Plan, zone: ZoneInfo) -> str:
    from datetime import datetime

    to = plan.intent.before or plan.intent.to
    if not to or to == "latest":
        return "the latest moment possible"
    try:
        return moment(datetime.fromisoformat(to), zone)
    except ValueError:
        return to


def show_finding(finding: PlanFinding, out: Console) -> None:
    """One finding: what, why, where, what to do."""
    line = Text()
    line.append(finding.severity, style=SEVERITIES[finding.severity])
    line.append(f"[{finding.code}]: " + letters(out, finding.summary))
    if finding.subject and finding.subject not in finding.summary:
        line.append(f" ({finding.subject})", style="quiet")
    out.print(line)
    for prefix, text in (("", finding.detail), ("--> ", finding.place), ("hint: ", finding.hint)):
        if text:
            indented(out, Text(letters(out, prefix + text)), 2)


def _show_steps(plan: Plan, out: Console) -> None:
    used = [symbol for symbol in MEANINGS if any(step.symbol == symbol for step in plan.steps)]
    legend = Text("\n  ")
    for symbol in used:
        legend.append(symbol, style=STYLES[symbol])
        legend.append(f" {MEANINGS[symbol]}   ", style="quiet")
    legend.rstrip()
    out.print(legend)
    tiers = plan.documents.tiers
    first = next((step.id for step in plan.steps if step.destructive), None)
    sites = len({step.site for step in plan.steps}) > 1
    number = 0
    for tier, of_tier in groupby(plan.steps, key=lambda step: step.tier):
        name = tiers[str(tier)].name if str(tier) in tiers else ""
        title = f"Tier {tier}" + (f" · {name}" if name else "") if tier else "Before all tiers"
        out.print()
        out.print(Text(letters(out, title), style="head"))
        for phase, of_phase in groupby(of_tier, key=lambda step: step.phase):
            out.print(Text(f"  {phase}", style="quiet"))
            for step in of_phase:
                number += 1
                if step.id == first and step.reversible:
                    _show_rule(out, "from here on, what serves people is stopped or replaced")
                if step.destructive and not step.reversible:
                    what = "the old data of {} is gone: nothing can be put back"
                    what = what if step.symbol == "-" else "there is no way back to the old primary of {}"
                    _show_rule(out, f"from here on, {what.format(step.subject)}")
                _show_step(number, step, sites, out)
    backs = [step for step in plan.steps if step.destructive and not step.reversible]
    if first:
        out.print()
        touched = {step.subject for step in plan.steps if step.destructive}
        last = [
            step.id
            for step in plan.steps
            if step.subject in touched and not step.reversible and step.symbol not in ("+", "<=")
        ]
        word = "is put back if a later one fails"
        if backs:
            gone = ", ".join(step.id for step in backs)
            lost = [step for step in backs if step.symbol == "-"]
            word = f"is put back if one before {gone} fails. From {gone} on "
            if lost:
                word += f"the old data of {_subjects(lost)} is gone and nothing of it can be put back"
            else:
                word += f"there is no way back to the old primary of {_subjects(backs)}"
            word += ": what fails then waits for 'aegis resume'"
        elif last:
            done = f"{', '.join(last)} {'is' if len(last) == 1 else 'are'} done"
            word = f"is put back if one of them fails; once {done}, what was restored stays"
        text = Text(letters(out, f"What the steps below the line replace {word}."), style="quiet")
        out.print(Padding(text, (0, 0, 0, 2), expand=False))


def _subjects(steps: list[Step]) -> str:
    return ", ".join(dict.fromkeys(step.subject for step in steps))


def _show_rule(out: Console, text: str) -> None:
    line = f"  ── {text} "
    width = min(out.width, 110)
    out.print(Text(letters(out, line + "─" * max(0, width - len(line))), style="warn"))


def _show_step(number: int, step: Step, sites: bool, out: Console) -> None:
    """Number, symbol and title with the expected time at the right, and the reason below."""
    grid = Table.grid(padding=(0, 1, 0, 0), expand=False)
    width = min(out.width, 110)
    right = 22 if sites else 13
    grid.add_column(width=4, justify="right", no_wrap=True)
    grid.add_column(width=3, justify="right", no_wrap=True)
    grid.add_column(width=width - 4 - 3 - right - 4, overflow="fold")
    grid.add_column(width=right, justify="right", no_wrap=True)
    known = step.estimate.seconds is not None
    when = span(step.estimate.seconds) if known else "time unknown"
    place = f"{step.site} " if sites else ""
    body = Text(letters(out, step.title), style="name")
    if not step.reversible and step.destructive:
        body.append("  cannot be undone", style="bad")
    grid.add_row(str(number), Text(step.symbol, style=STYLES.get(step.symbol, "")), body, Text(place + when, "quiet"))
    out.print(grid)
    below = Text(letters(out, step.reason), style="quiet")
    if not step.built:
        below.append("\n" + letters(out, "not built yet: cannot be applied"), style="bad")
    if step.approve:
        below.append("\n" + letters(out, f"waits for approval: {step.approve}"), style="warn")
    out.print(Padding(below, (0, 0, 0, 9), expand=False), width=width)


def _show_forecasts(forecasts: tuple[Forecast, ...], out: Console) -> None:
    out.print()
    out.print(Text("Forecast", style="head"))
    shown, left = _told(forecasts)
    subject_width = max(len(row.subject) for row in shown)
    for row in shown:
        word, style = VERDICTS[row.verdict]
        objective = row.objective.upper()
        target = f"{objective} {span(row.target)}" if row.target is not None else f"no {objective}"
        meaning = "back in" if row.objective == "rto" else "loses"
        line = Text(f"  {row.subject:<{subject_width}}  {meaning:<7} {span(row.expected):<12} {target:<13} ")
        line.append(word, style=style)
        if row.worst is not None and row.expected is not None:
            late = row.target is not None and row.worst > row.target
            line.append(f", {span(row.worst)} at worst (p95)", style="warn" if late else "quiet")
        out.print(line)
        if row.about == "service":
            continue
        indented(out, Text(letters(out, row.basis), style="quiet"), 4)
        for told in row.evidence:
            indented(out, Text(letters(out, told), style="quiet"), 6)
    if left:
        indented(out, Text(f"{left} more services; --json has them all", style="quiet"), 2)


_SERVICES = 12
"""So many services are shown with their own time; of more, those that miss or are least sure."""


def _told(forecasts: tuple[Forecast, ...]) -> tuple[list[Forecast], int]:
    services = [row for row in forecasts if row.about == "service"]
    if len(services) <= _SERVICES:
        return list(forecasts), 0
    grave = {"fail": 0, "could_not_verify": 1}
    worst = sorted(services, key=lambda row: (grave.get(row.verdict, 2), -(row.expected or 0.0)))[:_SERVICES]
    kept = {row.subject for row in worst}
    return [row for row in forecasts if row.about != "service" or row.subject in kept], len(services) - _SERVICES


def counts(plan: Plan) -> dict[str, int]:
    """How many steps make, change, replace, remove and look."""
    words = {"+": "add", "~": "change", "-/+": "replace", "-": "remove", "<=": "look"}
    counted = dict.fromkeys(words.values(), 0)
    for step in plan.steps:
        counted[words[step.symbol]] += 1
    return counted


def expected(plan: Plan) -> tuple[float, int]:
    """Seconds until the last step ends, as far as lengths are known, and how many steps have none."""
    found = schedule(plan)
    return found.total, len(found.unknown)


def summary(plan: Plan) -> str:
    """The last line: what would be done in one sentence."""
    errors = sum(1 for finding in plan.findings if finding.severity == "error")
    if errors:
        return f"This plan cannot be applied: {errors} error{'s' if errors > 1 else ''}, see above."
    if not plan.steps:
        if plan.intent.kind == "protect" and not any(store.backup for store in plan.documents.stores.values()):
            return "Nothing to protect: the documents declare no store with a backup. 'aegis help documents' shows how."
        open_ = [finding.subject for finding in plan.findings if finding.code == "store-not-protected"]
        if plan.intent.kind == "protect" and open_:
            those = "is" if len(open_) == 1 else "are"
            return f"Nothing that this version could do, and {', '.join(open_)} {those} NOT protected, see above."
        if plan.intent.kind == "protect":
            return f"No changes. The protection of {plan.system} matches the documents."
        return "No changes. There is nothing to do."
    number = counts(plan)
    text = (
        f"Plan: {number['add']} to add, {number['change']} to change, {number['replace']} to replace, "
        f"{number['remove']} to remove."
    )
    seconds, unknown = expected(plan)
    length = f"{unknown} step{'s' if unknown != 1 else ''} of unknown length"
    if unknown == len(plan.steps):
        return f"{text} How long it takes is not known yet."
    return f"{text} Expected {span(seconds)}" + (f", {length}." if unknown else ".")
