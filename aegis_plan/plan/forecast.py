"""What a plan promises against the objectives: time until served again, and what would be lost. Unknown stays
unknown. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from math import inf
from zoneinfo import ZoneInfo

from aegis_plan.documents.model import Documents, Scenario
from aegis_plan.documents.scalars import span
from aegis_plan.plan.plan import About, Forecast, PlanFinding
from aegis_plan.plan.schedule import endings, schedule, worst_length
from aegis_plan.plan.serving import Serving, Subject, subjects
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
                    detail=f"{name}: {_against(exposure.seconds, target.total_seconds(), exposure.basis)}",
                    hint="apply this plan; where it stays so, archive the log more often or stream it",
                    subject=name,
                )
            )
    return tuple(forecasts), tuple(findings)


def forecast_recovery(
    documents: Documents,
    steps: Sequence[Step],
    parallel: int,
    points: Mapping[str, RecoveryPoint],
    tiers: Mapping[str, int],
    scenario: Scenario | None,
    failed_at: datetime | None,
    now: datetime,
    serving: Serving,
) -> tuple[tuple[Forecast, ...], tuple[PlanFinding, ...]]:
    """RTO per tier and service, as usual and at worst; RPO per store."""
    decide = scenario.decide.total_seconds() if scenario is not None and scenario.decide is not None else 0.0
    elapsed = max(0.0, (now - failed_at).total_seconds()) if failed_at is not None else None
    watch = Watch(steps, parallel, elapsed, decide)
    zone = ZoneInfo(documents.system.timezone)
    forecasts = [
        _stuck(one, objective(documents, one.tier, "rto", scenario))
        if one.stuck
        else watch.back(one.about, one.name, one.after, objective(documents, one.tier, "rto", scenario))
        for one in subjects(documents, steps, serving, scenario)
    ]
    for name, point in points.items():
        target = objective(documents, tiers[name], "rpo", scenario)
        at = failed_at or now
        lost = max(0.0, (at - point.not_after).total_seconds())
        label = "the failure" if failed_at is not None else "now, as no time of failure was given"
        basis = (
            f"from {_text(point.not_after, zone)} to {label}" if lost else f"nothing is lost that came before {label}"
        )
        forecasts.append(_forecast(name, "rpo", target, lost, basis, about="store"))
    # A service that misses is why its tier does: once is enough.
    told = [forecast for forecast in forecasts if forecast.about != "service"]
    return tuple(forecasts), tuple(finding for one in told for finding in _findings(one))


def _stuck(one: Subject, target: timedelta | None) -> Forecast:
    basis = f"it needs {', '.join(one.stuck)}, which this plan does not bring back"
    return _forecast(one.name, "rto", target, None, basis, one.about)


def _against(seconds: float, target: float, what: str) -> str:
    """A time that is longer than its objective, also where both read the same."""
    said, allowed = span(seconds), span(target)
    return f"{said} {what}, " + (f"{allowed} allowed" if said != allowed else f"{span(seconds - target)} too long")


def _findings(forecast: Forecast) -> Iterator[PlanFinding]:
    if forecast.target is None or forecast.expected is None:
        return
    if forecast.verdict == "fail":
        rto = forecast.objective == "rto"
        yield PlanFinding(
            severity="breach",
            code="rto-breach" if rto else "rpo-breach",
            summary="the recovery would take longer than the objective allows"
            if rto
            else "the recovery would lose more than the objective allows",
            detail=f"{forecast.subject}: {_against(forecast.expected, forecast.target, 'expected')}; {forecast.basis}",
            hint="the plan can be applied; it is the best that can be done now",
            subject=forecast.subject,
        )
    elif forecast.worst is not None and forecast.worst > forecast.target:
        yield PlanFinding(
            severity="warning",
            code="rto-tight",
            summary="the objective is met as usual and missed at worst",
            detail=f"{forecast.subject}: {span(forecast.expected)} expected; "
            + _against(forecast.worst, forecast.target, "when every step is as slow as its slowest runs (p95)"),
            hint="'aegis explain STEP' tells which steps are on the critical path and how sure their times are",
            subject=forecast.subject,
        )


class Watch:
    """The steps of a plan in time, as usual and at worst, counted from the failure where that is known."""

    def __init__(self, steps: Sequence[Step], parallel: int, elapsed: float | None, decide: float = 0.0) -> None:
        self._steps = {step.id: step for step in steps}
        self._seconds = {step.id: step.estimate.seconds for step in steps}
        self._weight = {name: inf if seconds is None else seconds for name, seconds in self._seconds.items()}
        self._usual = schedule(steps, parallel)
        self._worst = endings(steps, parallel, worst_length) if any(step.estimate.worst for step in steps) else None
        self._elapsed = elapsed or 0.0
        self._since = "since the failure" if elapsed is not None else "from now"
        if decide > self._elapsed:
            # Nothing begins before somebody decided that it should.
            self._elapsed = decide
            self._since = f"from the failure, of which the decision takes {span(decide)} (declared)"

    def back(self, about: About, subject: str, after: Sequence[str], target: timedelta | None) -> Forecast:
        """When a subject is back that serves once all of `after` ended."""
        times = [self._usual.steps[name] for name in after]
        slowest = max(times, key=lambda at: at.end)
        known = slowest.end + self._elapsed
        way = self._usual.way(slowest.step, _WAY)
        unknown = list(dict.fromkeys(name for at in times for name in (*at.late, *((at.step,) if at.unknown else ()))))
        evidence = self._rests_on(list(dict.fromkeys((*way, *unknown))))
        if not unknown:
            # With a limit of concurrency other lengths change the order, which can end a step sooner.
            worst = max(map(self._worst.__getitem__, after)) + self._elapsed if self._worst is not None else known
            basis = f"the longest way through the steps, {self._since}"
            measured = any(self._steps[name].estimate.worst is not None for name in way)
            shown = max(worst, known) if measured or worst > known else None
            return _forecast(subject, "rto", target, known, basis, about, shown, evidence)
        if target is not None and known > target.total_seconds():
            basis = f"at least, {self._since}; not counting {', '.join(unknown[:3])}"
            return _forecast(subject, "rto", target, known, basis, about, None, evidence)
        many = len(unknown) > 3
        basis = f"nobody knows yet how long {', '.join(unknown[:3])}"
        basis += f" and {len(unknown) - 3} more" if many else ""
        basis += " take" if len(unknown) > 1 else " takes"
        if known:
            basis += f"; the rest takes {span(known)} {self._since}"
        return _forecast(subject, "rto", target, None, basis, about, None, evidence)

    def _rests_on(self, names: Sequence[str]) -> tuple[str, ...]:
        """What the times of these steps rest on, the weightiest first."""
        # Of a thousand services each has a way of a hundred steps: what is asked of every step was looked up before.
        weight = self._weight
        weighty = sorted([name for name in names if weight[name] > 0], key=weight.__getitem__, reverse=True)
        told = [f"{name}: {evidence(self._steps[name])}" for name in weighty[:_TOLD]]
        rest = [self._seconds[name] for name in weighty[_TOLD:]]
        known = [seconds for seconds in rest if seconds is not None]
        for count, what in (
            (len(rest) - len(known), "of unknown length"),
            (len(known), f"together {span(sum(known))}"),
        ):
            if count:
                told.append(f"{count} more step{'s' if count > 1 else ''}{',' if what[0] == 't' else ''} {what}")
        return tuple(told)


_WAY = 1000
"""So many steps of a way are looked at for what it rests on."""
_TOLD = 5
"""So many steps tell what a forecast rests on: the longest, and those of unknown length."""


def evidence(step: Step) -> str:
    """How long a step takes and how that is known: `2 min, measured 3 times (p50 2 min, p95 4 min)`."""
    estimate = step.estimate
    if estimate.seconds is None:
        return "waits for a person, nobody knows how long" if step.approve else "unknown"
    text = f"{span(estimate.seconds)}, {estimate.basis}"
    if estimate.worst is not None:
        text += f" (p50 {span(estimate.seconds)}, p95 {span(estimate.worst)})"
    if step.approve and not estimate.basis.startswith("declared"):
        text += ", and waits for a person, nobody knows how long"
    return text


def losses_unknown(
    documents: Documents, stores: Sequence[str], tiers: Mapping[str, int], scenario: Scenario | None
) -> tuple[Forecast, ...]:
    """Stores of which nobody knows to which moment they come back."""
    why = "nobody knows yet to which moment it comes back"
    return tuple(
        _forecast(name, "rpo", objective(documents, tiers[name], "rpo", scenario), None, why) for name in stores
    )


def _forecast(
    subject: str,
    which: str,
    target: timedelta | None,
    expected: float | None,
    basis: str,
    about: About = "store",
    worst: float | None = None,
    evidence: tuple[str, ...] = (),
) -> Forecast:
    seconds = target.total_seconds() if target is not None else None
    verdict = "not_configured"
    if seconds is not None:
        verdict = "could_not_verify" if expected is None else "pass" if expected <= seconds else "fail"
    return Forecast.model_validate(
        {
            "subject": subject,
            "about": about,
            "objective": which,
            "target": seconds,
            "expected": expected,
            "worst": worst,
            "basis": basis,
            "evidence": evidence,
            "verdict": verdict,
        }
    )


def _text(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"
