"""`aegis verify [STORE]...`: plans a verification of copies and applies it."""

from __future__ import annotations

import click

from aegis_plan.cli.completing import declared
from aegis_plan.cli.options import acting_options
from aegis_plan.cli.session import Session, pass_session


def _share(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    from aegis_plan.documents.scalars import parse_percentage

    if value is None:
        return None
    try:
        return parse_percentage(value) / 100
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("verify")
@click.argument("stores", nargs=-1, metavar="[STORE]...", shell_complete=declared("stores"))
@click.option("--data", metavar="SHARE", callback=_share, help="Read this share of the data, such as 5%; 100% is all.")
@click.option("--set", "sets", metavar="SET", multiple=True, help="Only this set; may be repeated.")
@click.option(
    "--repository",
    "repositories",
    metavar="NAME",
    multiple=True,
    shell_complete=declared("repositories"),
    help="Only the copies there; may be repeated.",
)
@acting_options
@pass_session
def command(
    session: Session,
    stores: tuple[str, ...],
    data: float | None,
    sets: tuple[str, ...],
    repositories: tuple[str, ...],
    yes: bool,
    approved: str | None,
    lock_timeout: float,
    break_glass: str,
    as_json: bool,
) -> int:
    """Verify every copy of all backups, or of those of each STORE, and remember what was found.

    Sizes and the checksums that a service vouches for are compared; where it vouches for nothing, the bytes are read.
    With --data a share is read everywhere, so chosen that over time all is read; with 100% everything is, and unsealed
    where this host has a key. Exit code 3: a copy is damaged; 1: not every copy could be verified.
    """
    from aegis_plan.cli.apply import plan_and_apply
    from aegis_plan.cli.planning import make_plan, require_known
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.plan.plan import Intent
    from aegis_plan.plan.planfile import digest

    loaded = load_documents()
    for store in stores:
        require_known("store", store, loaded.documents.stores)
    for repository in repositories:
        require_known("repository", repository, loaded.documents.repositories)
    options: dict[str, object] = {"data": data, "sets": list(sets), "repositories": list(repositories)}
    intent = Intent(kind="verify", stores=stores, options={name: one for name, one in options.items() if one})
    with world(loaded.documents, loaded.digest) as seen:
        plan = make_plan(seen, intent)
        return plan_and_apply(session, seen, plan, digest(plan), yes, approved, lock_timeout, break_glass, as_json)
