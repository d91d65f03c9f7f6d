"""`aegis hold [SET]...`: plans a hold on backups, or the end of one, and applies it."""

from __future__ import annotations

import click

from aegis_plan.cli.completing import declared
from aegis_plan.cli.options import acting_options
from aegis_plan.cli.session import Session, pass_session


@click.command("hold")
@click.argument("sets", nargs=-1, metavar="[SET]...")
@click.option("--store", metavar="NAME", shell_complete=declared("stores"), help="Everything that this store has.")
@click.option("--until", metavar="TIME", help="Until this day; without it until it is released.")
@click.option("--reason", metavar="TEXT", default="", help="Why; it stands in the catalog.")
@click.option("--release", is_flag=True, help="End the holds on these sets, or on the whole store.")
@acting_options
@pass_session
def command(
    session: Session,
    sets: tuple[str, ...],
    store: str | None,
    until: str | None,
    reason: str,
    release: bool,
    yes: bool,
    approved: str | None,
    lock_timeout: float,
    break_glass: str,
    as_json: bool,
) -> int:
    """Keep each SET, with all that it builds on, or everything of a store, whatever its age.

    A hold also takes back the mark of what expired already, as long as nothing of it was deleted.
    """
    from aegis_plan.cli.apply import plan_and_apply
    from aegis_plan.cli.applying import who
    from aegis_plan.cli.moments import parse_moment
    from aegis_plan.cli.planning import make_plan, require_known
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.clock import stamp
    from aegis_plan.plan.plan import Intent
    from aegis_plan.plan.planfile import digest

    loaded = load_documents()
    require_known("store", store, loaded.documents.stores)
    if bool(sets) == bool(store):
        raise click.UsageError("name the sets to hold, or a store with --store")
    if not release and not reason.strip():
        raise click.UsageError("say why with --reason: it stands in the catalog for whoever wonders later")
    if release and until:
        raise click.UsageError("--until says when a hold ends by itself, --release ends it now")
    moment = stamp(parse_moment(until, loaded.documents.system.timezone)) if until else ""
    options = {"sets": list(sets), "until": moment, "reason": reason.strip(), "by": who(), "release": release}
    intent = Intent(kind="hold", stores=(store,) if store else (), options=options)
    with world(loaded.documents, loaded.digest) as seen:
        if moment and parse_moment(moment, "UTC") <= seen.clock.now():
            raise click.UsageError("--until lies in the past")
        plan = make_plan(seen, intent)
        return plan_and_apply(session, seen, plan, digest(plan), yes, approved, lock_timeout, break_glass, as_json)
