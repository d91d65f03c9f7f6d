"""`aegis prune [STORE]...`: plans what expired backups go, and applies it."""

from __future__ import annotations

import click

from aegis_plan.cli.completing import declared
from aegis_plan.cli.options import acting_options
from aegis_plan.cli.session import Session, pass_session


@click.command("prune")
@click.argument("stores", nargs=-1, metavar="[STORE]...", shell_complete=declared("stores"))
@click.option("--now", "at_once", is_flag=True, help="Delete at once what is marked now; nothing brings it back.")
@click.option("--accept-shorter", is_flag=True, help="Let a shortened 'retain' apply before its grace is over.")
@acting_options
@pass_session
def command(
    session: Session,
    stores: tuple[str, ...],
    at_once: bool,
    accept_shorter: bool,
    yes: bool,
    approved: str | None,
    lock_timeout: float,
    break_glass: str,
    as_json: bool,
) -> int:
    """Let go what is kept no longer, of all stores or of each STORE: mark it first, delete it after its grace.

    Also removed are old leftovers: unfinished uploads, and objects that no backup names.
    """
    from aegis_plan.cli.apply import plan_and_apply
    from aegis_plan.cli.planning import make_plan, require_known
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.plan.plan import Intent
    from aegis_plan.plan.planfile import digest

    loaded = load_documents()
    for store in stores:
        require_known("store", store, loaded.documents.stores)
    chosen = {"at_once": at_once, "accept_shorter": accept_shorter}
    options = {name: True for name, wanted in chosen.items() if wanted}
    intent = Intent(kind="prune", stores=stores, options=options)
    with world(loaded.documents, loaded.digest) as seen:
        plan = make_plan(seen, intent)
        return plan_and_apply(session, seen, plan, digest(plan), yes, approved, lock_timeout, break_glass, as_json)
