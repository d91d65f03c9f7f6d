"""Which secret references a scenario needs, and the plan that puts their values away, sealed to the recovery recipient
alone. Pure: it sees references and never a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aegis_plan.documents.model import Documents
from aegis_plan.documents.secrets import references
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan.assembly import assembled
from aegis_plan.plan.plan import Intent, Plan, PlanFinding
from aegis_plan.plan.services import concerned, dependents
from aegis_plan.plan.step import new_step


def needed(documents: Documents, scenario: str = "") -> dict[str, tuple[str, ...]]:
    """Each secret reference that recovering from a scenario needs, or any at all, with the places that name it."""
    whole = documents.model_dump(mode="json", exclude={"variables", "accepted"})
    if scenario:
        declared = documents.scenarios[scenario]
        intent = Intent(kind="recover", scenario=scenario)
        stores = tuple(concerned(documents, intent, declared))
        services = {*declared.affects.services, *dependents(documents, stores)}
        used = {name for store in stores if (backup := documents.stores[store].backup) for name in backup.repositories}
        used |= {documents.state.authority, *documents.state.mirrors} if documents.state is not None else set()
        whole = {
            "stores": {name: whole["stores"][name] for name in stores},
            "services": {name: whole["services"][name] for name in sorted(services) if name in whole["services"]},
            "repositories": {name: whole["repositories"][name] for name in sorted(used)},
            "scenarios": {scenario: whole["scenarios"][scenario]},
            "sites": whole["sites"],
        }
    found: dict[str, list[str]] = {}
    for path, text in _texts(whole, ""):
        for reference in references(text):
            found.setdefault(str(reference), []).append(path)
    return {reference: tuple(paths) for reference, paths in sorted(found.items())}


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _texts(one, f"{path}/{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from _texts(one, f"{path}/{number}")
    elif isinstance(value, str) and "${" in value:
        try:
            references(value)
        except ValueError:
            return
        yield path, value


def plan_escrow(documents: Documents, snapshot: Snapshot, digest: str, tool: str, intent: Intent) -> Plan:
    """One step at the site of `intent.options`: resolve what is needed there, seal it, and put it into the
    repositories in the place of the one before."""
    site = str(intent.options["site"])
    wanted = needed(documents, intent.scenario)
    findings = []
    if documents.sealing is None or not wanted:
        findings.append(
            PlanFinding(
                severity="error",
                code="escrow-empty",
                summary="there is nothing to put away",
                detail="the documents name no secret reference"
                if documents.sealing
                else "there is no section 'sealing'",
                hint="a value that is a reference such as ${env:NAME} is what an escrow is for",
            )
        )
    step = new_step(
        "escrow",
        id="escrow",
        title=f"seal {len(wanted)} secrets to the recovery recipient",
        reason=f"asked for, for {intent.scenario or 'everything'}",
        site=site,
        tier=0,
        phase="protect",
        params={"references": sorted(wanted), "scenario": intent.scenario},
        declared=tuple(f"repositories/{name}" for name in documents.repositories),
    )
    return assembled(documents, snapshot, digest, tool, intent, (step,) if wanted else (), findings)
