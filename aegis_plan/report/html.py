"""A plan as one HTML page that needs nothing else: no script, no font, no picture from anywhere, and a content security
policy that holds it to that. Every text of documents is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from aegis_plan.documents.scalars import span
from aegis_plan.plan.gates import gate_tiers, gated
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.schedule import Timing
from aegis_plan.plan.step import Fact, Step
from aegis_plan.report.gantt import MOST, gantt
from aegis_plan.report.gist import MEANINGS, VERDICTS, Gist, gist
from aegis_plan.report.graph_plan import draw_plan, draw_plan_together
from aegis_plan.report.graph_svg import graph_svg
from aegis_plan.report.visible import visible

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True)
class _Row:
    """One step in the table."""

    number: int
    step: Step
    at: Timing
    takes: str
    when: str
    rests: str
    undo: str
    after: tuple[str, ...]
    """The steps that it needs itself."""
    gates: str
    """Of which tiers the health gates hold it back; empty for none."""
    touches: bool
    """Whether it is the first that stops or replaces what serves people."""


def plan_html(plan: Plan, digest: str, summary: str) -> str:
    """The whole page."""
    told = gist(plan)
    timed = told.timed
    drawing = draw_plan(plan) if len(plan.steps) <= MOST else draw_plan_together(plan)
    picture = graph_svg(drawing) if plan.steps else ""
    environment = _environment()
    style = environment.get_template("plan.css").render()
    styles = [style, *re.findall(r"<style>(.*?)</style>", picture, re.DOTALL)]
    from markupsafe import Markup

    return environment.get_template("plan.html").render(
        plan=plan,
        told=told,
        summary=summary,
        digest=digest,
        tiers=list(_tiers(plan, told)),
        bars=gantt(plan, timed),
        # Made by this program, which escapes what it writes into it.
        picture=Markup(picture),
        style=Markup(style),
        policy=_policy(styles),
        facts=_facts(plan),
        verdicts=VERDICTS,
        meanings=MEANINGS,
        span=span,
        most=MOST,
        used=[symbol for symbol in MEANINGS if any(step.symbol == symbol for step in plan.steps)],
    )


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("aegis_plan.report", "templates"),
        autoescape=lambda name: name != "plan.css",
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _harmless(value: Any) -> Any:
    """Every text that the page shows; what this program made as a picture is none."""
    return visible(value, lines=True) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _policy(styles: list[str]) -> str:
    """Nothing may be loaded, and no style applies but these very ones."""
    hashes = [base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() for style in styles]
    allowed = " ".join(f"'sha256-{found}'" for found in hashes)
    return f"default-src 'none'; style-src {allowed}; base-uri 'none'; form-action 'none'"


def _tiers(plan: Plan, told: Gist) -> Iterator[tuple[str, list[tuple[str, list[_Row]]]]]:
    names = plan.documents.tiers
    gates = gate_tiers(plan.steps)
    rows = [_row(step, told, gates) for step in plan.steps]
    for tier, of_tier in groupby(rows, key=lambda row: row.step.tier):
        name = names[str(tier)].name if str(tier) in names else ""
        title = f"Tier {tier}" + (f" · {name}" if name else "") if tier else "Before all tiers"
        phases = [(phase, list(found)) for phase, found in groupby(of_tier, key=lambda row: row.step.phase)]
        yield title, phases


def _row(step: Step, told: Gist, gates: tuple[int, ...]) -> _Row:
    at = told.timed.steps[step.id]
    estimate = step.estimate
    takes = span(estimate.seconds) if estimate.seconds is not None else "unknown"
    rests = estimate.basis if estimate.basis != "unknown" else "nothing says how long"
    if estimate.worst is not None:
        rests += f"; {span(estimate.worst)} at worst (p95)"
    begin = (
        f"begins after {'at least ' if at.late else ''}{span(at.begin)}" if at.begin or at.late else "begins at once"
    )
    if step.symbol == "<=":
        undo = "changes nothing"
    elif step.reversible:
        undo = "can be undone"
    else:
        undo = "stays" if step.symbol == "+" else "cannot be undone"
    touches = told.touches is not None and told.touches.id == step.id
    tiers = [str(tier) for tier in gates if tier < step.tier] if gated(step) else []
    held = f"the health gates of tier{'' if len(tiers) == 1 else 's'} {', '.join(tiers)}" if tiers else ""
    return _Row(told.number[step.id], step, at, takes, begin, rests, undo, step.needs, held, touches)


def _facts(plan: Plan) -> list[tuple[Fact, str, list[int]]]:
    """Every fact once, with what it may become and the numbers of the steps that rest on it."""
    found: dict[str, tuple[Fact, list[int]]] = {}
    for number, step in enumerate(plan.steps, 1):
        for fact in step.facts:
            found.setdefault(fact.model_dump_json(), (fact, []))[1].append(number)
    return [(fact, _may(fact), steps) for fact, steps in sorted(found.values(), key=lambda row: row[0].name)]


def _may(fact: Fact) -> str:
    if fact.at_least is not None:
        return f"at least {_plain(fact.at_least)}"
    return f"within {_plain(fact.tolerance)}" if fact.tolerance is not None else "must be the same"


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
