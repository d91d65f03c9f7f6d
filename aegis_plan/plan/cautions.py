"""What a person has to know beside the steps of a plan: what it cannot see to by itself. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aegis_plan.documents.model import EXPERIMENTAL, Documents, Scenario
from aegis_plan.plan.plan import Intent, PlanFinding
from aegis_plan.plan.step import Step


def experimental(documents: Documents, sections: Sequence[str] = tuple(EXPERIMENTAL)) -> Iterator[PlanFinding]:
    """One note for all of the sections that are declared and that nothing acts on yet."""
    declared = [section for section in sections if getattr(documents, section)]
    if declared:
        yield PlanFinding(
            severity="note",
            code="section-experimental",
            summary="sections that are checked and not acted on yet",
            detail="; ".join(f"{section}: {EXPERIMENTAL[section]}" for section in declared),
        )


def unclear(documents: Documents, scenario: Scenario, intent: Intent, stores: Sequence[str]) -> Iterator[PlanFinding]:
    """A disaster that takes servers away, and nobody can know which."""
    detail, hint, lost = "", "", {*scenario.affects.sites, *intent.sites_down}
    if not scenario.effect.takes_sites or not stores:
        return
    if not lost:
        named = ", ".join(stores[:3]) + (f" and {len(stores) - 3} more" if len(stores) > 3 else "")
        detail = f"it names no site, so it is not known which servers of {named} are gone"
        hint = "write 'affects: {sites: [...]}' or give --site-down SITE; 'disruption: store' where no server is gone"
    elif scenario.disruption == "host":
        for name in stores:
            for site in scenario.affects.sites:
                there = [one for one, member in documents.stores[name].members.items() if member.site == site]
                if len(there) > 1 and site not in intent.sites_down:
                    detail = f"{' and '.join(there)} of {name} are at {site}, and one host is lost"
                    hint = f"--site-down {site} or 'disruption: site' if all are; else make each host a site of its own"
    if detail:
        yield PlanFinding(
            severity="error",
            code="disruption-unclear",
            summary="the scenario does not say which servers are lost",
            detail=f"{intent.scenario} is of kind {scenario.disruption}: {detail}",
            hint=hint,
            subject=intent.scenario,
        )


def lost(steps: Sequence[Step], down: Sequence[str]) -> Iterator[PlanFinding]:
    """Steps that would run where nothing runs any more."""
    for site in down:
        names = [step.id for step in steps if step.site == site]
        if names:
            shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
            yield PlanFinding(
                severity="error",
                code="step-at-lost-site",
                summary="a step would run at a site that is lost",
                detail=f"{shown}: {'its' if len(names) == 1 else 'their'} site {site} is down",
                hint="give the step another 'site', or take it out of the scenario",
                subject=site,
            )


def managed(documents: Documents, stores: Sequence[str]) -> Iterator[PlanFinding]:
    """Stores whose servers something else starts, stops and promotes."""
    for name in stores:
        other = documents.stores[name].managed_by
        if other:
            yield PlanFinding(
                severity="warning",
                code="store-managed",
                summary="something else starts, stops and promotes the servers of this store",
                detail=f"{name} is managed by {other}, which would work against the steps of this plan",
                hint=f"pause {other} for {name} before you apply, and let it go on afterwards",
                subject=name,
            )


def target(scenario: Scenario | None, name: str, back_in_time: bool) -> Iterator[PlanFinding]:
    """A disaster that is in the data already, and nobody said from before when it has to be."""
    if scenario is not None and scenario.effect.spoils_replicas and not back_in_time:
        yield PlanFinding(
            severity="warning",
            code="target-not-clean",
            summary="the newest data may hold what the disaster did to it",
            detail=f"{name} is of kind {scenario.disruption}, and no time was given from before which data is clean",
            hint="find out when it began, and plan with --before TIME",
            subject=name,
        )
