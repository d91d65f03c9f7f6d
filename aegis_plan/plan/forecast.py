"""What a plan promises against the objectives: time until served again, and what would be lost. Unknown stays
unknown. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from aegis_plan.documents.model import Documents, Scenario
from aegis_plan.documents.scalars import format_duration
from aegis_plan.plan.plan import Forecast, PlanFinding
from aegis_plan.plan.step import Step
from aegis_plan.stores.contract import Ask, RecoveryPoint
from aegis_plan.stores.specs import spec


def objective(documents: Documents, tier: int, which: str, scenario: Scenario | None = None) -> timedelta | None:
    """The strictest of what a tier, else the system, and a scenario ask for."""
    declared = documents.tiers.get(str(tier))
    own: timedelta | None = getattr(declared, which, None) if declared is not None else None
    own = own if own is not None else getattr(documents.system.objectives, which)
    expected: timedelta | None = getattr(scenario.expect, which) if scenario is not None else None
    known = [target for target in (own, expected) if target is not None]
    return min(known, default=None)


def exposures(documents: Documents, asks: Mapping[str, Ask]) -> tuple[tuple[Forecast, ...], tuple[PlanFinding, ...]]:
    """What would be lost if each store failed now. A miss is a warning: the plan is there to mend it."""
    forecasts, findings = [], []
    for name, ask in asks.items():
        exposure = spec(ask.store.engine).exposure(ask)
        target = objective(documents, ask.tier, "rpo")
        forecast = _forecast(name, "rpo", target, exposure.seconds, exposure.basis)
        forecasts.append(forecast)
        if forecast.verdict == "fail" and exposure.seconds is not None and target is not None:
            findings.append(
                PlanFinding(
                    severity="warning",
                    code="rpo-at-risk",
                    summary="more would be lost now than the objective allows",
                    detail=f"{name}: {_span(exposure.seconds)} {exposure.basis}; at most "
                    f"{_span(target.total_seconds())} is allowed",
                    hint="apply this plan; where it stays so, archive the log more often or stream it",
                    subject=name,
                )
            )
    return tuple(forecasts), tuple(findings)


def finishes(steps: Sequence[Step]) -> dict[str, tuple[float, tuple[str, ...]]]:
    """For each step: the seconds until it ends when all run as early as they may, and the steps on the way to it
    whose length is not known. `steps` are in order."""
    ends: dict[str, tuple[float, tuple[str, ...]]] = {}
    for step in steps:
        begin = 0.0
        unknown: tuple[str, ...] = ()
        for need in step.needs:
            end, behind = ends[need]
            begin = max(begin, end)
            if behind and behind != unknown:
                unknown = behind if not unknown else tuple(dict.fromkeys((*unknown, *behind)))[:50]
        if step.estimate.seconds is None:
            unknown = (*unknown, step.id)[:50]
        ends[step.id] = (begin + (step.estimate.seconds or 0.0), unknown)
    return ends


def forecast_recovery(
    documents: Documents,
    steps: Sequence[Step],
    points: Mapping[str, RecoveryPoint],
    tiers: Mapping[str, int],
    scenario: Scenario | None,
    failed_at: datetime | None,
    now: datetime,
    serving: frozenset[str],
) -> tuple[tuple[Forecast, ...], tuple[PlanFinding, ...]]:
    """RTO per tier, from the steps `serving` that have to end before it serves; RPO per store."""
    ends = finishes(steps)
    elapsed = max(0.0, (now - failed_at).total_seconds()) if failed_at is not None else 0.0
    since = "since the failure" if failed_at is not None else "from now"
    decide = scenario.decide.total_seconds() if scenario is not None and scenario.decide is not None else 0.0
    if decide > elapsed:
        elapsed, since = decide, f"from the failure, of which the decision takes {_span(decide)} (declared)"
    zone = ZoneInfo(documents.system.timezone)
    forecasts = []
    for tier in sorted({step.tier for step in steps if step.id in serving}):
        of_tier = [ends[step.id] for step in steps if step.tier <= tier and step.id in serving]
        known = max(end for end, _ in of_tier) + elapsed
        unknown = list(dict.fromkeys(name for _, names in of_tier for name in names))
        target = objective(documents, tier, "rto", scenario)
        label = documents.tiers[str(tier)].name if str(tier) in documents.tiers else ""
        subject = f"tier {tier}" + (f" ({label})" if label else "")
        if unknown and (target is None or known <= target.total_seconds()):
            basis = f"nobody knows yet how long {', '.join(unknown[:3])}"
            basis += (
                f" and {len(unknown) - 3} more take"
                if len(unknown) > 3
                else (" take" if len(unknown) > 1 else " takes")
            )
            if known:
                basis += f"; the rest takes {_span(known)} {since}"
            forecasts.append(_forecast(subject, "rto", target, None, basis))
        else:
            basis = f"the longest way through the steps, {since}"
            if unknown:
                basis = f"at least, {since}; not counting {', '.join(unknown[:3])}"
            forecasts.append(_forecast(subject, "rto", target, known, basis))
    for name, point in points.items():
        target = objective(documents, tiers[name], "rpo", scenario)
        at = failed_at or now
        lost = max(0.0, (at - point.not_after).total_seconds())
        label = "the failure" if failed_at is not None else "now, as no time of failure was given"
        basis = (
            f"from {_text(point.not_after, zone)} to {label}" if lost else f"nothing is lost that came before {label}"
        )
        forecasts.append(_forecast(name, "rpo", target, lost, basis))
    findings = [
        PlanFinding(
            severity="breach",
            code="rto-breach" if forecast.objective == "rto" else "rpo-breach",
            summary="the recovery would take longer than the objective allows"
            if forecast.objective == "rto"
            else "the recovery would lose more than the objective allows",
            detail=f"{forecast.subject}: {_span(forecast.expected)} expected, {_span(forecast.target)} allowed; "
            f"{forecast.basis}",
            hint="the plan can be applied; it is the best that can be done now",
            subject=forecast.subject,
        )
        for forecast in forecasts
        if forecast.verdict == "fail" and forecast.expected is not None and forecast.target is not None
    ]
    return tuple(forecasts), tuple(findings)


def without_way(forecasts: Sequence[Forecast], stuck: Sequence[str]) -> tuple[Forecast, ...]:
    """The same, where nothing serves in time as long as some stores have no way back in this plan."""
    why = f"there is no way back for {', '.join(stuck)} in this plan"
    return tuple(
        row.model_copy(update={"expected": None, "verdict": "could_not_verify", "basis": why})
        if stuck and row.objective == "rto" and row.verdict == "pass"
        else row
        for row in forecasts
    )


def losses_unknown(
    documents: Documents, stores: Sequence[str], tiers: Mapping[str, int], scenario: Scenario | None
) -> tuple[Forecast, ...]:
    """Stores of which nobody knows to which moment they come back."""
    why = "nobody knows yet to which moment it comes back"
    return tuple(
        _forecast(name, "rpo", objective(documents, tiers[name], "rpo", scenario), None, why) for name in stores
    )


def _forecast(subject: str, which: str, target: timedelta | None, expected: float | None, basis: str) -> Forecast:
    seconds = target.total_seconds() if target is not None else None
    verdict = "not_configured"
    if seconds is not None:
        verdict = "could_not_verify" if expected is None else "pass" if expected <= seconds else "fail"
    return Forecast.model_validate(
        {
            "subject": subject,
            "objective": which,
            "target": seconds,
            "expected": expected,
            "basis": basis,
            "verdict": verdict,
        }
    )


def _span(seconds: float | None) -> str:
    """For people: `1 h 30 min`."""
    exact = format_duration(timedelta(seconds=round(seconds or 0)))
    return re.sub(r"(\d+)([a-z]+)", r"\1 \2 ", exact).replace(" m ", " min ").rstrip()


def _text(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"
