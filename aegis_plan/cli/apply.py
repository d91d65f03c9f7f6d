"""`aegis apply [FILE]`: does exactly what a plan says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aegis_plan.cli.options import acting_options, planning_options
from aegis_plan.cli.planning import Asked, intent_of, make_plan
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import EXIT_BREACH, AegisError, StaleError, UsageError

if TYPE_CHECKING:
    from aegis_plan.cli.wire import World
    from aegis_plan.plan.plan import Plan


@click.command("apply")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@planning_options
@acting_options
@pass_session
def command(
    session: Session,
    asked: Asked,
    file: Path | None,
    yes: bool,
    approved: str | None,
    lock_timeout: float,
    break_glass: str,
    as_json: bool,
) -> int:
    """Apply the saved plan FILE; without FILE plan, show the plan and ask.

    A saved plan takes no planning options. Ctrl-C ends gracefully, a second one at once; 'aegis resume' goes on.
    """
    from aegis_plan.cli import applying
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.clock import new_id
    from aegis_plan.plan.planfile import digest as digest_of
    from aegis_plan.report.plan import show_plan

    if file is not None:
        from aegis_plan.cli.show import read_file

        if asked.any or session.variables or session.variable_files:
            raise UsageError(
                "options-contradict",
                "these options make no sense together",
                "a saved plan is applied as it is, so it takes no planning options",
                "leave them out, or make a new plan with them",
            )
        plan, digest, kept = read_file(file)
        with world(plan.documents, plan.documents_digest) as seen:
            _same_documents(plan)
            snapshot = applying.fresh_look(seen, plan, digest, break_glass)
            if not as_json:
                show_plan(plan, session.console(), briefly=approved is not None)
            if not plan.steps and not plan.blocked:
                return EXIT_BREACH if plan.breached else 0
            how = applying.approve(session, plan, digest, yes=yes, approved=approved)
            if how == "terminal":
                snapshot = applying.fresh_look(seen, plan, digest, break_glass)
            return applying.carry_out(
                session, seen, plan, digest, new_id(seen.clock.now()), how, snapshot,
                kept=kept, lock_timeout=lock_timeout, break_glass=break_glass, as_json=as_json,
            ).exit_code  # fmt: skip
    loaded = load_documents()
    intent = intent_of(asked, loaded.documents)
    with world(loaded.documents, loaded.digest, loaded.files) as seen:
        plan = make_plan(seen, intent)
        digest = digest_of(plan)
        return plan_and_apply(session, seen, plan, digest, yes, approved, lock_timeout, break_glass, as_json)


def plan_and_apply(
    session: Session,
    seen: World,
    plan: Plan,
    digest: str,
    yes: bool,
    approved: str | None,
    lock_timeout: float,
    break_glass: str,
    as_json: bool,
) -> int:
    """Shows a plan that was made just now, has it approved and carries it out; returns the exit code."""
    from aegis_plan.cli import applying
    from aegis_plan.clock import new_id
    from aegis_plan.report.events import plan_events
    from aegis_plan.report.plan import show_plan

    if as_json:
        for event in plan_events(plan, digest):
            click.echo(event)
    else:
        show_plan(plan, session.console())
    if not plan.steps and not plan.blocked:
        return EXIT_BREACH if plan.breached else 0
    how = applying.approve(session, plan, digest, yes=yes, approved=approved)
    # People think for a while; the world may have moved meanwhile.
    snapshot = applying.fresh_look(seen, plan, digest, break_glass) if how == "terminal" else plan.snapshot
    return applying.carry_out(
        session, seen, plan, digest, new_id(seen.clock.now()), how, snapshot,
        lock_timeout=lock_timeout, break_glass=break_glass, as_json=as_json,
    ).exit_code  # fmt: skip


def _same_documents(plan: Plan) -> None:
    """Raises StaleError `plan-documents-differ` when the documents of the same system here are not the plan's, with the
    values of variables that the plan was made with."""
    from aegis_plan.cli.wire import load_documents

    kept = {name: found.default for name, found in plan.documents.variables.items() if found.default is not None}
    try:
        loaded = load_documents(kept=kept)
    except UsageError:
        return
    except AegisError as error:
        click.echo(f"warning: the documents here cannot be compared with the plan: {error.summary}", err=True)
        return
    if loaded.documents.system.name == plan.system and loaded.digest != plan.documents_digest:
        raise StaleError(
            "plan-documents-differ",
            "the documents are no longer those of the plan",
            "they were changed after the plan was made",
            "make a new plan; to apply this one all the same, do it in a folder without the documents",
        )
