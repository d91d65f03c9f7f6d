"""A plan as people read it before they say yes: steps in their order, forecast, findings, one line of summary."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console
from rich.text import Text

from aegis_plan.documents.scalars import span
from aegis_plan.plan.plan import Forecast, Plan, PlanFinding
from aegis_plan.plan.schedule import schedule
from aegis_plan.plan.step import Step
from aegis_plan.report.gist import MEANINGS, VERDICTS, Gist, gist
from aegis_plan.report.terminal import cells, indented, letters
from aegis_plan.report.timing import show_time

_TITLE = 9
"""The column of a step's title."""
STYLES = {"+": "add", "~": "change", "-/+": "replace", "-": "remove", "<=": "read"}
VERDICT_STYLES = {"pass": "good", "fail": "bad", "could_not_verify": "warn", "not_configured": "quiet"}
SEVERITIES = {"error": "bad", "breach": "bad", "warning": "warn", "note": "quiet"}


def show_plan(plan: Plan, out: Console, *, briefly: bool = False) -> None:
    """Prints the whole plan, the summary line last; `briefly` leaves out what was read before: steps and forecast."""
    told = gist(plan)
    out.print()
    indented(out, Text(letters(out, told.title), style="head"), 0)
    indented(out, Text(letters(out, told.asof), style="quiet"), 0)
    if told.led:
        indented(out, Text(letters(out, f"led by {told.led}"), style="quiet"), 0)
    if plan.findings:
        out.print()
        for finding in plan.findings:
            show_finding(finding, out)
    if plan.steps and not briefly:
        _show_steps(plan, told, out)
    if plan.steps and not briefly:
        show_time(plan, out)
    if plan.forecasts and not briefly and (plan.steps or plan.intent.kind in ("recover", "restore")):
        _show_forecasts(plan.forecasts, out)
    if plan.choices and not briefly:
        out.print()
        out.print(Text("Chosen", style="head"))
        for choice in plan.choices:
            indented(out, Text(letters(out, choice)), 2)
    if plan.steps and not briefly:
        _show_gist(told, out)
    out.print()
    indented(out, Text(letters(out, summary(plan)), style="head" if plan.steps else "good"), 0)


def _show_gist(told: Gist, out: Console) -> None:
    """The plan in short, below the steps: that is what stands on the screen when all was printed."""
    out.print()
    out.print(Text("In short", style="head"))
    touches = "nothing that serves people is stopped or replaced"
    if told.touches is not None:
        touches = f"from {told.touches.id} ({told.number[told.touches.id]}) on, what serves is stopped or replaced"
    rows = [
        ("Not back", "; ".join(told.lacks), "bad"),
        ("First", told.first, ""),
        ("Touches", touches, ""),
        ("No way back", told.back, "bad" if told.gone else ""),
        ("How long", told.length, "warn" if told.timed.unknown else ""),
        ("People", told.people, ""),
    ]
    by = 15 if out.width >= 60 else 4
    for name, text, style in rows:
        if text:
            _show_row(name, Text(letters(out, text), style=style), by, out)
    for at, text in enumerate(told.unknown):
        _show_row("Not known" if not at else "", Text(letters(out, text), style="warn"), by, out)


def _show_row(name: str, text: Text, by: int, out: Console) -> None:
    if by < 15 and name:
        out.print(Text(f"  {name}", style="name"))
    indented(out, text, by, Text(f"  {name}", style="name") if by >= 15 else None)


def show_finding(finding: PlanFinding, out: Console) -> None:
    """One finding: what, why, where, what to do."""
    line = Text()
    line.append(finding.severity, style=SEVERITIES[finding.severity])
    line.append(f"[{finding.code}]: " + letters(out, finding.summary))
    if finding.subject and finding.subject not in finding.summary:
        line.append(f" ({finding.subject})", style="quiet")
    indented(out, line, 0)
    for prefix, text in (("", finding.detail), ("--> ", finding.place), ("hint: ", finding.hint)):
        if text:
            indented(out, Text(letters(out, prefix + text)), 2)


def _show_steps(plan: Plan, told: Gist, out: Console) -> None:
    used = [symbol for symbol in MEANINGS if any(step.symbol == symbol for step in plan.steps)]
    legend = Text()
    for symbol in used:
        legend.append(symbol, style=STYLES[symbol])
        legend.append(f" {MEANINGS[symbol]}   ", style="quiet")
    legend.rstrip()
    out.print()
    indented(out, legend, 2)
    for text in told.lacks:
        indented(out, Text(letters(out, text), style="bad"), 2)
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


def _show_rule(out: Console, text: str) -> None:
    line = letters(out, f"── {text} ")
    width = min(out.width, 110)
    room = width - 2 - cells(line)
    line += letters(out, "─") * room if room > 0 else ""
    indented(out, Text(line, style="warn"), 2)


def _show_step(number: int, step: Step, sites: bool, out: Console) -> None:
    """Number, symbol and title with site and expected time at the right, and the reason below."""
    width = min(out.width, 110)
    when = span(step.estimate.seconds) if step.estimate.seconds is not None else "time unknown"
    right = letters(out, f"{step.site}  {when}" if sites else when)
    title = Text(letters(out, step.title), style="name")
    if not step.reversible and step.destructive:
        title.append("  cannot be undone", style="bad")
    below = Text(letters(out, step.reason), style="quiet")
    room = width - _TITLE - max(14, cells(right) + 2)
    if room < 24:
        # Too narrow for a column at the right.
        room, below = width - _TITLE, Text.assemble((right, "quiet"), "\n", below)
        right = ""
    lead = Text.assemble(f"{number:>4} ", (f"{step.symbol:>3}", STYLES.get(step.symbol, "")), " ")
    for at, line in enumerate(title.wrap(out, room)):
        line.rstrip()
        shown = Text.assemble(lead if not at else " " * _TITLE, line)
        if right and not at:
            shown.append(" " * (width - shown.cell_len - cells(right)) + right, style="quiet")
        out.print(shown, soft_wrap=True)
    if not step.built:
        below.append("\n" + letters(out, "not built yet: cannot be applied"), style="bad")
    if step.approve:
        below.append("\n" + letters(out, f"waits for approval: {step.approve}"), style="warn")
    for line in below.wrap(out, width - _TITLE):
        line.rstrip()
        out.print(Text.assemble(" " * _TITLE, line), soft_wrap=True)


def _show_forecasts(forecasts: tuple[Forecast, ...], out: Console) -> None:
    out.print()
    out.print(Text("Forecast", style="head"))
    shown, left = _told(forecasts)
    subject_width = max(cells(row.subject) for row in shown)
    for row in shown:
        word, style = VERDICTS[row.verdict], VERDICT_STYLES[row.verdict]
        objective = row.objective.upper()
        target = f"{objective} {span(row.target)}" if row.target is not None else f"no {objective}"
        meaning = "back in" if row.objective == "rto" else "loses"
        subject = row.subject + " " * (subject_width - cells(row.subject))
        line = Text(letters(out, f"  {subject}  {meaning:<7} {span(row.expected):<12} {target:<13} "))
        line.append(word, style=style)
        if row.worst is not None and row.expected is not None:
            late = row.target is not None and row.worst > row.target
            line.append(f", {span(row.worst)} at worst (p95)", style="warn" if late else "quiet")
        if line.cell_len > out.width:
            line = Text(f"{row.subject}: {meaning} {span(row.expected)}, {target}, ")
            line.append(word, style=style)
            indented(out, Text(letters(out, line.plain), style=style), 2)
        else:
            out.print(line, soft_wrap=True)
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
        if plan.intent.kind == "publish" and plan.snapshot.published:
            return f"No changes. Revision {plan.snapshot.published.number} is published and is what the files say."
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
    if unknown and seconds < 1:
        return f"{text} How long it takes is not known: {length}."
    return f"{text} At least {span(seconds)}: {length}." if unknown else f"{text} Expected {span(seconds)}."
