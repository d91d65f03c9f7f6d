"""A plan as Markdown for a pull request: the summary first, details folded, cut by section to what a comment may hold,
and names that hold Markdown made harmless. It posts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from aegis_plan.documents.scalars import span
from aegis_plan.plan.plan import Forecast, Plan
from aegis_plan.plan.step import Step
from aegis_plan.report.gist import VERDICTS, Gist, gist
from aegis_plan.report.visible import one_line, visible

MOST = 65_000
"""Characters; GitHub takes 65,536 in a comment, and counts some twice."""
MARKER = "<!-- aegis plan -->"
"""By which a bot finds its comment again."""
_PICTURED = 60
"""More steps than that are no picture that anybody reads."""
_MARKS = re.compile(r"([\\`*_\[\]|~>])")
_AT_BEGIN = re.compile(r"^(\d{1,9})?([-+.)=])")
_AS_NUMBERS = {"@": "&#64;", "#": "&#35;", "$": "&#36;", "://": "&#58;//"}
"""What would name a person or an issue, begin a formula or become a link."""


def plan_markdown(plan: Plan, digest: str, summary: str, command: str) -> str:
    """The whole comment; `command` applies the plan, and is left out when empty or when it cannot be applied."""
    told = gist(plan)
    head = f"{MARKER}\n## {plain(told.title)}\n\n**{plain(summary)}**\n\n{plain(told.asof)}\n"
    tail = f"\n<sub>Plan digest `{digest}`</sub>\n"
    if command and plan.steps and not plan.blocked:
        tail = f"\nApply exactly this plan with:\n\n{_fenced(visible(command), 'sh')}{tail}"
    # In the order in which they are given up last to first: what is short and grave stays longest.
    sections = [
        ("what it comes to", _short(told, plan)),
        ("findings", _findings(plan)),
        ("forecast", _forecasts(plan.forecasts)),
        ("steps", _steps(plan, told)),
        ("choices", _choices(plan)),
        ("details", _details(plan, told)),
        ("picture", _picture(plan)),
    ]
    room = MOST - len(head) - len(tail) - 300
    kept, left = [], []
    for name, text in sections:
        if not text:
            continue
        if len(text) <= room:
            kept.append(text)
            room -= len(text)
        else:
            left.append(name)
    cut = f"\n> Left out because a comment may hold no more: {', '.join(left)}. See the HTML page, or `aegis show`.\n"
    return "".join([head, *kept, cut if left else "", tail])


def plain(text: str) -> str:
    """The text as it is, whatever Markdown, HTML, link or mention it looks like, on one line."""
    shown = " ".join(one_line(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    shown = _AT_BEGIN.sub(r"\1\\\2", _MARKS.sub(r"\\\1", shown))
    for mark, number in _AS_NUMBERS.items():
        # The marks before came from the text; those that this loop writes hold a '#' of their own.
        shown = shown.replace(mark, number) if mark != "#" else re.sub(r"(?<!&)#", number, shown)
    return re.sub(r"(?i)www\.", lambda found: f"{found[0][:3]}&#46;", shown)


def _fenced(text: str, language: str) -> str:
    """A block of code that nothing in the text can end."""
    longest = max((len(found) for found in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}\n"


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def _short(told: Gist, plan: Plan) -> str:
    if not plan.steps and not told.unknown:
        return ""
    touches = "nothing that serves people is stopped or replaced"
    if told.touches is not None:
        touches = f"from {told.touches.id} ({told.number[told.touches.id]}) on, what serves is stopped or replaced"
    rows = [("Not back", "; ".join(told.lacks)), ("Happens first", told.first)]
    if plan.steps:
        rows += [("Touches", touches), ("No way back", told.back), ("How long", told.length)]
    rows += [("Longest way", told.way), ("People", told.people)]
    lines = [f"* **{name}:** {plain(text)}" for name, text in rows if text]
    if told.unknown:
        lines += ["* **Not known:**", *(f"  * {plain(text)}" for text in told.unknown[:12])]
        if len(told.unknown) > 12:
            lines.append(f"  * and {len(told.unknown) - 12} more")
    return "\n" + "\n".join(lines) + "\n"


def _findings(plan: Plan) -> str:
    if not plan.findings:
        return ""
    lines = ["\n### Findings\n"]
    for found in plan.findings:
        place = f" at {plain(found.place)}" if found.place else ""
        lines.append(f"* **{found.severity}** {plain(found.summary)} ({plain(found.code)}){place}")
        lines += [f"  {plain(text)}" for text in (found.detail, found.hint and f"Way out: {found.hint}") if text]
    return "\n".join(lines) + "\n"


def _forecasts(forecasts: tuple[Forecast, ...]) -> str:
    if not forecasts:
        return ""
    rows = []
    for row in forecasts:
        target = f"{row.objective.upper()} {span(row.target)}" if row.target is not None else "none"
        worst = f", {span(row.worst)} at worst" if row.worst is not None else ""
        expected = "not known" if row.expected is None else f"{span(row.expected)}{worst}"
        rows.append((plain(row.subject), target, expected, f"**{VERDICTS[row.verdict]}**", plain(row.basis)))
    return "\n### Forecast\n\n" + _table(("Subject", "Objective", "Expected", "Verdict", "Rests on"), rows)


def _steps(plan: Plan, told: Gist) -> str:
    parts = ["\n" + "".join(f"* **{plain(text)}**\n" for text in told.lacks)] if told.lacks else []
    for tier, of_tier in groupby(plan.steps, key=lambda step: step.tier):
        name = plan.documents.tiers[str(tier)].name if str(tier) in plan.documents.tiers else ""
        parts.append(f"\n### {f'Tier {tier}' if tier else 'Before all tiers'}{f' · {plain(name)}' if name else ''}\n\n")
        rows = [
            (str(told.number[step.id]), f"`{step.symbol}`", _title(step), plain(step.site), _takes(step), _undo(step))
            for step in of_tier
        ]
        parts.append(_table(("", "", "Step", "Site", "Time", "Undo"), rows))
    return "".join(parts)


def _title(step: Step) -> str:
    marks = f"<br>**waits for a person:** {plain(step.approve)}" if step.approve else ""
    marks += "" if step.built else "<br>**not built yet**"
    return plain(step.title) + marks


def _takes(step: Step) -> str:
    return span(step.estimate.seconds) if step.estimate.seconds is not None else "unknown"


def _undo(step: Step) -> str:
    if step.symbol == "<=":
        return ""
    return "yes" if step.reversible else "stays" if step.symbol == "+" else "**no**"


def _choices(plan: Plan) -> str:
    if not plan.choices:
        return ""
    return "\n### Choices\n\n" + "\n".join(f"* {plain(choice)}" for choice in plan.choices) + "\n"


def _details(plan: Plan, told: Gist) -> str:
    if not plan.steps:
        return ""
    lines = []
    for step in plan.steps:
        # The colours of a difference: added, removed or replaced, changed.
        sign = {"+": "+", "-": "-", "-/+": "-", "~": "!"}.get(step.symbol, " ")
        at = told.timed.steps[step.id]
        lines.append(f"{sign} {told.number[step.id]}. {_line(step.id)}: {_line(step.title)}")
        lines.append(f"    {_line(step.reason)}")
        if step.needs:
            lines.append(f"    after {_line(', '.join(step.needs[:8]))}{' and more' if len(step.needs) > 8 else ''}")
        length = f"{_takes(step)} ({step.estimate.basis})" if step.estimate.seconds is not None else "not known"
        critical = ", on the critical path" if at.critical and told.timed.total else ""
        lines.append(f"    length {length}{critical}")
    return (
        f"\n<details><summary>All steps with reasons</summary>\n\n{_fenced(chr(10).join(lines), 'diff')}\n</details>\n"
    )


def _line(text: str) -> str:
    return " ".join(one_line(text).split())


def _picture(plan: Plan) -> str:
    if not 1 < len(plan.steps) <= _PICTURED:
        return ""
    from aegis_plan.report.graph_mermaid import graph_mermaid
    from aegis_plan.report.graph_plan import draw_plan

    drawn = _fenced(graph_mermaid(draw_plan(plan)), "mermaid")
    return f"\n<details><summary>What waits for what</summary>\n\n{drawn}\n</details>\n"
