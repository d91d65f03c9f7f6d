"""`aegis backup STORE`: plans one backup and applies it. `--due` does what the schedules say is due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from aegis_plan.cli.completing import declared
from aegis_plan.cli.options import acting_options
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import UsageError
from aegis_plan.report.visible import visible

if TYPE_CHECKING:
    from aegis_plan.schedule.job import Aspect


@click.command("backup")
@click.argument("store", required=False, shell_complete=declared("stores"))
@click.option("--full", "method", flag_value="full", help="Everything (the default).")
@click.option("--incremental", "method", flag_value="incremental", help="What changed since the newest backup.")
@click.option("--log", "method", flag_value="log", help="The log up to now.")
@click.option("--due", is_flag=True, help="Only what is due by the schedules, of STORE or of all; asks nobody.")
@click.option(
    "--aspect",
    type=click.Choice(("data", "log")),
    help="With --due: only full and incremental backups, or only the log.",
)
@click.option("--working-copy", is_flag=True, help="With --due: by the documents here, not by the published ones.")
@click.option("--by", type=click.Choice(("scheduler", "timer", "person")), default="person", hidden=True)
@acting_options
@pass_session
def command(
    session: Session,
    store: str | None,
    method: str | None,
    due: bool,
    aspect: str | None,
    working_copy: bool,
    by: Any,
    yes: bool,
    approved: str | None,
    lock_timeout: float,
    break_glass: str,
    as_json: bool,
) -> int:
    """Take a backup of STORE now, or with --due what is due."""
    from aegis_plan.cli.apply import plan_and_apply
    from aegis_plan.cli.planning import make_plan, require_known
    from aegis_plan.cli.wire import World, load_documents, world
    from aegis_plan.plan.plan import Intent
    from aegis_plan.plan.planfile import digest

    _check(store, method, due, "--aspect" if aspect else "--working-copy" if working_copy else "", approved)
    if due:
        from aegis_plan.cli.due import run_due
        from aegis_plan.cli.published import in_force

        found = in_force(working_copy)
        if found.warning:
            click.echo(f"warning: {visible(found.warning)}", err=True)
        loaded = found.loaded
        require_known("store", store, loaded.documents.stores)

        aspects: list[Aspect] = [cast("Aspect", aspect)] if aspect else ["data", "log"]
        names = [store] if store is not None else [name for name, one in loaded.documents.stores.items() if one.backup]
        return run_due(
            session, lambda: World(loaded.documents, loaded.digest), names, aspects, by,
            as_json=as_json, lock_timeout=lock_timeout, break_glass=break_glass,
        )  # fmt: skip
    assert store is not None
    loaded = load_documents()
    require_known("store", store, loaded.documents.stores)
    intent = Intent(kind="backup", stores=(store,), options={"method": method or "full"})
    with world(loaded.documents, loaded.digest) as seen:
        plan = make_plan(seen, intent)
        return plan_and_apply(session, seen, plan, digest(plan), yes, approved, lock_timeout, break_glass, as_json)


def _check(store: str | None, method: str | None, due: bool, of_due: str, approved: str | None) -> None:
    if store is None and not due:
        raise click.UsageError("Missing argument 'STORE'. 'aegis backup --due' takes what is due of all stores.")
    wrong = (method and f"--{method}") or (approved and "--approve") if due else of_due
    if wrong:
        raise UsageError(
            "options-contradict",
            "these options make no sense together",
            f"{wrong} {'goes not with --due, which takes what the schedules say' if due else 'belongs to --due'}",
            "leave one of them out",
        )
