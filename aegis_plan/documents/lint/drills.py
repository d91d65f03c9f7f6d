"""What drills prove, and what they leave out. It looks at no report of a drill."""

from __future__ import annotations

from collections.abc import Iterator

from aegis_plan.documents.lint.rule import Wrong, rule
from aegis_plan.documents.lint.scope import Scope
from aegis_plan.documents.lint.words import say


@rule("scenario-unrehearsed", "warning", "no drill rehearses this scenario")
def scenario_unrehearsed(scope: Scope) -> Iterator[Wrong]:
    rehearsed = {drill.scenario for drill in scope.documents.drills.values()}
    for name in scope.documents.scenarios:
        if name not in rehearsed:
            yield Wrong(
                ("scenarios", name),
                f"'{name}' would be carried out for the first time in the disaster",
                f"add a drill with 'scenario: {name}'",
                key=True,
            )


@rule("drill-exceeds-rto", "breach", "a drill may take longer than the RTO that it should prove")
def drill_exceeds_rto(scope: Scope) -> Iterator[Wrong]:
    for name, drill in scope.documents.drills.items():
        scenario = scope.documents.scenarios.get(drill.scenario or "")
        if scenario is not None and drill.scenario is not None:
            target = scope.scenario_target(scenario, drill.scenario, "rto")
        else:
            target = scope.system_target("rto")
        if target is not None and drill.duration > target.span:
            yield Wrong(
                ("drills", name, "duration"),
                f"{name} may take {say(drill.duration)} and counts as passed, against {say(target.span)} "
                f"({target.place})",
                f"let it take {say(target.span)} at most",
            )
