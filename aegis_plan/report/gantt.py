"""The forecast of a plan as bars over time, one small SVG a row, so that it flows, wraps and prints like text. A bar of
unknown length is drawn as such and never as nothing. It measures nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aegis_plan.documents.scalars import span
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.schedule import Schedule, expected_length, schedule
from aegis_plan.plan.step import Step

MOST = 150
"""More rows than that are put together by tier and subject, else by tier and phase."""


@dataclass(frozen=True)
class Bar:
    """One row."""

    name: str
    anchor: str
    """The number of the step, or nothing for several together."""
    times: str
    left: float
    """In percent of the width."""
    width: float
    unknown: bool
    person: bool
    critical: bool


@dataclass(frozen=True)
class Gantt:
    """All rows, and where to write times above them."""

    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    """Empty where unknown lengths leave no scale."""


def gantt(plan: Plan, timed: Schedule) -> Gantt:
    """The rows in the order of the plan; for the drawing alone an unknown length takes some room."""
    if not plan.steps:
        return Gantt((), ())
    room = timed.total / 12 if timed.total else 1.0

    def drawn(step: Step) -> tuple[float, bool]:
        seconds, known = expected_length(step)
        return (seconds if known else max(seconds, room)), True

    places = schedule(plan, length=drawn) if timed.unknown else timed
    scale = 100.0 / (places.total or 1.0)
    together = len(plan.steps) > MOST
    rows = (
        _rows(plan, lambda step: step.subject or step.phase) if together else {step.id: [step] for step in plan.steps}
    )
    if len(rows) > MOST:
        rows = _rows(plan, lambda step: step.phase)
    numbers = {step.id: at for at, step in enumerate(plan.steps, 1)}
    bars = []
    for name, steps in rows.items():
        at = [places.steps[step.id] for step in steps]
        begin, end = min(one.begin for one in at), max(one.end for one in at)
        left = min(begin * scale, 99.4)
        bars.append(
            Bar(
                name=name,
                anchor="" if together else str(numbers[steps[0].id]),
                times=_times(steps, timed),
                left=left,
                width=min(max((end - begin) * scale, 0.6), 100.0 - left),
                unknown=any(timed.steps[step.id].unknown for step in steps),
                person=any(step.approve for step in steps),
                critical=bool(timed.total) and any(timed.steps[step.id].critical for step in steps),
            )
        )
    return Gantt(tuple(bars), () if timed.unknown else _ticks(timed.total))


def _rows(plan: Plan, label: Callable[[Step], str]) -> dict[str, list[Step]]:
    found: dict[str, list[Step]] = {}
    for step in plan.steps:
        tier = f"tier {step.tier}" if step.tier else "before all tiers"
        found.setdefault(f"{tier} · {label(step)}", []).append(step)
    return found


def _times(steps: list[Step], timed: Schedule) -> str:
    at = [timed.steps[step.id] for step in steps]
    begin, end = min(one.begin for one in at), max(one.end for one in at)
    sure_begin = all(not one.late for one in at)
    text = f"{'from' if sure_begin else 'from at least'} {span(begin)}"
    if any(one.unknown for one in at):
        return f"{text}, length unknown"
    return f"{text}, {span(end - begin)}" if len(steps) == 1 else f"{text} to {span(end)}"


def _ticks(total: float) -> tuple[tuple[float, str], ...]:
    if total <= 0:
        return ()
    steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 604800]
    every = next((step for step in steps if total / step <= 5), total / 5)
    return tuple((at * every / total * 100, span(at * every)) for at in range(int(total / every) + 1))
