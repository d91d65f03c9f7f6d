"""What `--json` writes: one JSON object a line, the first tells the version. Plans hold no secrets, so nor do these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from aegis_plan.clock import stamp
from aegis_plan.plan.plan import Plan
from aegis_plan.report.plan import counts, expected, summary
from aegis_plan.report.visible import dumps

VERSION = "1.0"
"""Of events. Minor: ignore what you do not know. Major: stop reading."""
DOCUMENT = "1.0"
"""The same of the document of a saved plan."""


def line(kind: str, at: datetime, message: str, **data: Any) -> str:
    """One event."""
    return dumps({"type": kind, "@timestamp": stamp(at), "@message": message, **data})


def version_line(tool: str, at: datetime) -> str:
    return line("version", at, f"aegis {tool}", aegis=tool, events=VERSION)


def plan_events(plan: Plan, digest: str = "", answers: Mapping[str, Any] | None = None) -> Iterator[str]:
    """A plan as events: version, findings, steps, forecasts, answers to what-if questions, summary."""
    at = plan.made_at
    yield version_line(plan.tool, at)
    for finding in plan.findings:
        yield line("finding", at, f"{finding.severity}: {finding.summary}", **finding.model_dump(mode="json"))
    for step in plan.steps:
        yield line("planned_step", at, f"{step.symbol} {step.id}: {step.title}", step=step.model_dump(mode="json"))
    for forecast in plan.forecasts:
        message = f"{forecast.subject}: {forecast.objective} {forecast.verdict}"
        yield line("forecast", at, message, **forecast.model_dump(mode="json"))
    for name, answer in (answers or {}).items():
        yield line(name, at, name.replace("_", " "), **{name: answer})
    seconds, unknown = expected(plan)
    yield line(
        "summary",
        at,
        summary(plan),
        counts=counts(plan),
        expected_seconds=seconds,
        unknown_steps=unknown,
        blocked=plan.blocked,
        breached=plan.breached,
        digest=digest,
    )


def plan_document(plan: Plan, digest: str) -> str:
    """A saved plan as one JSON document."""
    body = {"format": 1, "format_version": DOCUMENT, "digest": digest, "plan": plan.model_dump(mode="json")}
    return dumps(body)
