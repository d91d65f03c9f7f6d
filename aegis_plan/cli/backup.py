"""`aegis backup STORE`: plans one backup and applies it."""

from __future__ import annotations

import click

from aegis_plan.cli.completing import declared
from aegis_plan.cli.options import acting_options
from aegis_plan.cli.session import Session, pass_session


@click.command("backup")
@click.argument("store", shell_complete=declared("stores"))
@click.option("--full", "method", flag_value="full", default="full", help="Everything (the default).")
@click.option("--incremental", "method", flag_value="incremental", help="What changed since the newest backup.")
@click.option("--log", "method", flag_value="log", help="The log up to now.")
@acting_options
@pass_session
def command(
    session: Session,
    store: str,
    method: str,
    yes: bool,
    approved: str | None,
    lock_timeout: float,
    break_glass: str,
    as_json: bool,
) -> int:
    """Take a backup of STORE now."""
    from aegis_plan.cli.apply import plan_and_apply
    from aegis_plan.cli.planning import make_plan, require_known
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.plan.plan import Intent
    from aegis_plan.plan.planfile import digest

    loaded = load_documents()
    require_known("store", store, loaded.documents.stores)
    intent = Intent(kind="backup", stores=(store,), options={"method": method})
    with world(loaded.documents, loaded.digest) as seen:
        plan = make_plan(seen, intent)
        return plan_and_apply(session, seen, plan, digest(plan), yes, approved, lock_timeout, break_glass, as_json)
