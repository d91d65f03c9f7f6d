"""The same plan made anew, from its own documents and snapshot, with a site counted down: what that changes. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from aegis_plan.plan.difference import difference
from aegis_plan.plan.plan import Forecast, Intent, Plan, PlanFinding


@dataclass(frozen=True)
class Moved:
    """One objective of one subject, as planned and then."""

    subject: str
    objective: str
    target: float | None
    planned: float | None
    """Seconds; None is unknown, or not promised at all."""
    then: float | None
    planned_verdict: str
    then_verdict: str
    """Empty where nothing is promised any more."""
    basis: str


@dataclass(frozen=True)
class SiteDown:
    """What changes when a site is down."""

    site: str
    already: bool
    """Whether the plan counts with that anyway."""
    plan: Plan
    """The plan made anew."""
    lost: tuple[str, ...]
    """Stores that the plan brings back or protects, and that it then cannot."""
    errors: tuple[PlanFinding, ...]
    """What then stands against the plan and did not before."""
    breaches: tuple[PlanFinding, ...]
    """Objectives that are then missed and were not before."""
    moved: tuple[Moved, ...]
    steps: tuple[str, ...]
    """What differs in the steps, one line each."""

    def as_data(self) -> dict[str, Any]:
        """As JSON carries it, without the plan made anew."""
        return {
            "site": self.site,
            "already": self.already,
            "blocked": self.plan.blocked,
            "breached": self.plan.breached,
            "lost": list(self.lost),
            "errors": [one.model_dump(mode="json") for one in self.errors],
            "breaches": [one.model_dump(mode="json") for one in self.breaches],
            "moved": [asdict(one) for one in self.moved],
            "steps": list(self.steps),
        }


Make = Callable[[Intent], Plan]
"""Makes a plan of the same documents and snapshot with another intent."""


def without_site(intent: Intent, site: str) -> Intent:
    """What was asked for, with one more site down."""
    return intent.model_copy(update={"sites_down": tuple(dict.fromkeys((*intent.sites_down, site)))})


def what_if_down(plan: Plan, site: str, make: Make) -> SiteDown:
    """What changes when `site` is down besides what the plan counts with."""
    intent = without_site(plan.intent, site)
    anew = make(intent)
    scenario = plan.documents.scenarios.get(plan.intent.scenario)
    of_scenario = scenario.lost_sites if scenario is not None else ()
    before = {(one.code, one.subject) for one in plan.findings}
    new = [one for one in anew.findings if (one.code, one.subject) not in before]
    served = {step.subject for step in plan.steps if step.subject in plan.documents.stores}
    still = {step.subject for step in anew.steps}
    # What stood against the plan before was lost before.
    failing = {one.subject for one in new if one.severity == "error"}
    return SiteDown(
        site=site,
        already=site in {*plan.intent.sites_down, *of_scenario},
        plan=anew,
        lost=tuple(sorted(name for name in served if name not in still or name in failing)),
        errors=tuple(one for one in new if one.severity == "error"),
        breaches=tuple(one for one in new if one.severity == "breach"),
        moved=tuple(_moved(plan.forecasts, anew.forecasts)),
        steps=difference(plan, anew, limit=1_000_000),
    )


def _moved(planned: tuple[Forecast, ...], then: tuple[Forecast, ...]) -> list[Moved]:
    """Each promise that changed, was lost, or came up."""
    after = {(one.objective, one.subject): one for one in then}
    before = {(one.objective, one.subject): one for one in planned}
    found = []
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key), after.get(key)
        if old is not None and new is not None and (old.expected, old.verdict) == (new.expected, new.verdict):
            continue
        one = new or old
        assert one is not None
        found.append(
            Moved(
                subject=one.subject,
                objective=one.objective,
                target=one.target,
                planned=old.expected if old else None,
                then=new.expected if new else None,
                planned_verdict=old.verdict if old else "",
                then_verdict=new.verdict if new else "",
                basis=new.basis if new else "nothing promises it any more",
            )
        )
    return found
