"""Whether a scenario's way back exists for each store that it takes: a member to promote, a member to restore onto. It
looks at no server."""

from __future__ import annotations

from collections.abc import Iterator

from aegis_plan.documents.lint.rule import Wrong, rule
from aegis_plan.documents.lint.scope import Scope
from aegis_plan.documents.lint.words import listed
from aegis_plan.documents.model import Scenario


@rule("failover-without-member", "breach", "a failover has nowhere to go")
def failover_without_member(scope: Scope) -> Iterator[Wrong]:
    from aegis_plan.stores.specs import spec

    for name, scenario in scope.documents.scenarios.items():
        if scenario.strategy != "failover":
            continue
        struck = scope.useless_sites(scenario)
        for store in scope.affected(scenario):
            declared = scope.documents.stores[store]
            members = declared.members
            left = [member for member, one in members.items() if one.site not in struck]
            if struck and not left:
                said = f"'{name}' takes {listed(sorted(struck))}, and {store} has members there only: {listed(members)}"
                hint = "add a member at a site that is left, or write another strategy"
            elif not struck and len(members) < 2:
                said = f"'{name}' takes {store}, which has no second member"
                hint = "add a member, or write another strategy"
            elif spec(declared.engine).modes.failover and not scope.promotable(scenario, store):
                # An engine without replicas is restored instead, by whatever strategy.
                kept = [member for member in left if not members[member].promote]
                said = f"'{name}' takes {store}, and what is left of it may not be promoted: {listed(kept)}"
                hint = "take 'promote: false' away from one of them, or write another strategy"
            else:
                continue
            yield Wrong(("stores", store, "members"), said, hint, key=True)


@rule("failover-keeps-damage", "warning", "a failover goes to a replica that has what the disaster did to the data")
def failover_keeps_damage(scope: Scope) -> Iterator[Wrong]:
    from aegis_plan.stores.specs import spec

    for name, scenario in scope.documents.scenarios.items():
        if scenario.strategy != "failover" or not scenario.effect.spoils_replicas:
            continue
        stores = [one for one in scope.affected(scenario) if spec(scope.documents.stores[one].engine).modes.failover]
        if stores:
            yield Wrong(
                ("scenarios", name, "strategy"),
                f"'{name}' is {_said(scenario)}, and replicas of {listed(stores)} follow their primary also in what is "
                "wrong",
                "write 'strategy: restore'; a restore goes back to before it",
            )


def _said(scenario: Scenario) -> str:
    return "ransomware" if scenario.disruption == "ransomware" else "a wrong change of the data"


@rule("restore-without-member", "breach", "a restore has nowhere to go")
def restore_without_member(scope: Scope) -> Iterator[Wrong]:
    from aegis_plan.stores.specs import spec

    for name, scenario in scope.documents.scenarios.items():
        lost = scope.lost_sites(scenario)
        for store in scope.affected(scenario) if lost else ():
            declared = scope.documents.stores[store]
            if scenario.strategy == "failover" and spec(declared.engine).modes.failover:
                continue
            if store in scenario.restore_to or not declared.members:
                continue
            if lost.issuperset(member.site for member in declared.members.values()):
                yield Wrong(
                    ("stores", store, "members"),
                    f"'{name}' takes {listed(sorted(lost))}, and {store} has members there only: "
                    f"{listed(declared.members)}",
                    "add a member at a site that is left; one that only takes restores says 'promote: false'",
                    key=True,
                )
