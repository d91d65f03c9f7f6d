"""`aegis restore STORE`: plans the restore of one store and applies it."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_plan.cli.completing import declared, members
from aegis_plan.cli.options import acting_options, give_up_option
from aegis_plan.cli.session import Session, pass_session


@click.command("restore")
@click.argument("store", shell_complete=declared("stores"))
@click.option("--to", metavar="TIME", default="latest", show_default=True, help="Back to this moment.")
@click.option("--before", metavar="TIME", help="Back to the last moment before an infection.")
@click.option("--failed-at", metavar="TIME", help="When it broke; RTA and RPA count from here.")
@click.option("--beside", metavar="PATH", type=click.Path(path_type=Path), help="Into a folder, touching no server.")
@click.option("--member", metavar="NAME", shell_complete=members, help="Onto this server of the store.")
@give_up_option
@click.option("--only", metavar="PART", multiple=True, help="Only this part, such as database/policies.")
@acting_options
@pass_session
def command(
    session: Session,
    store: str,
    to: str,
    before: str | None,
    failed_at: str | None,
    beside: Path | None,
    member: str | None,
    give_up_old_data: bool,
    only: tuple[str, ...],
    yes: bool,
    approved: str | None,
    lock_timeout: float,
    break_glass: str,
    as_json: bool,
) -> int:
    """Bring STORE back, in place or beside."""
    from aegis_plan.cli.apply import plan_and_apply
    from aegis_plan.cli.planning import Asked, intent_of, make_plan
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.plan.planfile import digest

    loaded = load_documents()
    asked = Asked(
        stores=(store,),
        to=None if before and to == "latest" else to,
        before=before,
        failed_at=failed_at,
        beside=beside,
        member=member,
        only=only,
        give_up_old_data=give_up_old_data,
    )
    intent = intent_of(asked, loaded.documents)
    with world(loaded.documents, loaded.digest) as seen:
        plan = make_plan(seen, intent)
        return plan_and_apply(session, seen, plan, digest(plan), yes, approved, lock_timeout, break_glass, as_json)
