"""A scenario's decision, its own steps and the starts of services, each held against its time and its place. Sums along
the course are in `objectives.py`."""

from __future__ import annotations

from collections.abc import Iterator

from aegis_plan.documents.lint.rule import Wrong, rule
from aegis_plan.documents.lint.scope import Scope, Target
from aegis_plan.documents.lint.words import say
from aegis_plan.documents.model import OwnStep, Scenario, Steps
from aegis_plan.documents.tree import Path


@rule("decision-exceeds-rto", "breach", "the decision alone takes as long as a recovery may")
def decision_exceeds_rto(scope: Scope) -> Iterator[Wrong]:
    for name, scenario in scope.documents.scenarios.items():
        if scenario.decide is None:
            continue
        whole = scope.scenario_target(scenario, name, "rto")
        if whole is not None and whole.span < scenario.decide:
            continue  # estimates-exceed-rto tells it, with the steps that come on top
        over = [one for one in _limits(scope, name, scenario) if one.span <= scenario.decide]
        if over:
            strictest = min(over, key=lambda one: one.span)
            yield Wrong(
                ("scenarios", name, "decide"),
                f"{name}: {say(scenario.decide)} until the decision, and nothing is back before it; against "
                f"{say(strictest.span)} ({strictest.place})",
                "decide sooner, or promise less",
            )


def _limits(scope: Scope, name: str, scenario: Scenario) -> Iterator[Target]:
    """Every RTO that begins with the disaster: of the tiers that it takes, and when all goes well."""
    for tier in scope.struck_tiers(scenario):
        target = scope.tier_target(tier, "rto")
        if target is not None:
            yield target
    if scenario.best.rto is not None:
        yield Target(scenario.best.rto, f"scenarios.{name}.best.rto")


@rule("start-exceeds-rto", "breach", "a service takes longer to start than its RTO allows")
def start_exceeds_rto(scope: Scope) -> Iterator[Wrong]:
    for name, service in scope.documents.services.items():
        estimate = service.start.estimate if service.start is not None else None
        target = scope.tier_target(service.tier, "rto")
        if estimate is not None and target is not None and estimate > target.span:
            yield Wrong(
                ("services", name, "start", "estimate"),
                f"{name} takes {say(estimate)} to start, against {say(target.span)} ({target.place}); what it uses "
                "comes back before that",
                "make it start sooner, or put it into a tier whose RTO can be kept",
            )


def _steps(scenario: Scenario) -> Iterator[tuple[Path, OwnStep]]:
    for phase in Steps.model_fields:
        steps: dict[str, OwnStep] = getattr(scenario.steps, phase)
        for name, own in steps.items():
            yield ("steps", phase, name), own


@rule("estimate-exceeds-timeout", "warning", "a step may take less time than it is expected to")
def estimate_exceeds_timeout(scope: Scope) -> Iterator[Wrong]:
    for name, scenario in scope.documents.scenarios.items():
        for path, own in _steps(scenario):
            written = "timeout" in own.model_fields_set
            if own.estimate is not None and own.estimate > own.timeout and (written or own.run):
                yield Wrong(
                    ("scenarios", name, *path, "timeout" if written else "estimate"),
                    f"{path[-1]} is expected to take {say(own.estimate)}, and has {say(own.timeout)}"
                    f"{'' if written else ' where no timeout is written'}",
                    f"write 'timeout:' with more than {say(own.estimate)}",
                )


@rule("step-at-lost-site", "breach", "a step would run where the disaster strikes")
def step_at_lost_site(scope: Scope) -> Iterator[Wrong]:
    for name, scenario in scope.documents.scenarios.items():
        lost = scope.lost_sites(scenario)
        for path, own in _steps(scenario):
            if own.run and own.site in lost:
                yield Wrong(
                    ("scenarios", name, *path, "site"),
                    f"{path[-1]} runs at {own.site}, which '{name}' takes",
                    "let it run at a site that is left, or have a person do it with 'manual:'",
                )
