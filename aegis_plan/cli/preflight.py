"""`aegis plan --preflight`: what scenarios would need and lack here, before an incident. It reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aegis_plan.cli.planning import Asked, intent_of, plan_from
from aegis_plan.cli.session import Session
from aegis_plan.errors import AegisError
from aegis_plan.report.visible import dumps

if TYPE_CHECKING:
    from aegis_plan.cli.wire import World
    from aegis_plan.observe.snapshot import Snapshot
    from aegis_plan.requirement import Requirement


def preflight(session: Session, asked: Asked, as_json: bool) -> int:
    """One line a requirement: ok, missing or could not verify. Without a scenario: all of them."""
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.report.requirements import as_data, show
    from aegis_plan.requirement import exit_code

    loaded = load_documents()
    documents = loaded.documents
    names = [asked.scenario] if asked.scenario else list(documents.scenarios)
    if asked.scenario:
        intent_of(asked, documents)
    with world(documents, loaded.digest) as seen:
        snapshot = seen.observe(None, asked.sites_down) if names else None
        found = {name: of_scenario(seen, snapshot, name, asked) for name in names if snapshot is not None}
    if as_json:
        data: dict[str, Any] = {"format": 1, "exit_code": exit_code(one for each in found.values() for one in each)}
        data["scenarios"] = {
            name: {k: v for k, v in as_data(each).items() if k != "format"} for name, each in found.items()
        }
        click.echo(dumps(data, indent=2))
    else:
        from rich.text import Text

        out = session.console()
        if not names:
            out.print("The documents declare no scenario, so nothing says what to be ready for.")
        for name, each in found.items():
            out.print()
            out.print(Text(f"Scenario {name}", style="head"))
            show(each, out, every=True, fine="It lacks nothing, as far as a look can tell.")
    return exit_code(one for each in found.values() for one in each)


def of_scenario(seen: World, snapshot: Snapshot, name: str, asked: Asked) -> list[Requirement]:
    """What one scenario needs, with what is there of it."""
    from dataclasses import replace

    from aegis_plan.cli.version import version
    from aegis_plan.observe.check import check
    from aegis_plan.plan.preflight import for_recovery, judged, wanted
    from aegis_plan.requirement import Requirement

    try:
        intent = intent_of(replace(asked, scenario=name), seen.documents)
        plan = plan_from(seen.documents, seen.digest, intent, snapshot, version())
    except AegisError as error:
        return [
            Requirement(
                code=error.code,
                state="missing",
                summary=f"a plan can be made: {error.summary}",
                subject=f"scenarios/{name}",
                detail=error.detail,
                hint=error.hint,
            )
        ]
    ask = wanted(plan)
    said = check(
        seen.documents,
        seen.dispatcher,
        seen.clock,
        stores=ask.stores,
        members=ask.members,
        repositories=ask.repositories,
        sites=ask.sites,
        down=ask.down,
    )
    return [*judged(plan, ask), *for_recovery(said, plan, ask)]
