"""`aegis publish`: plans the publication of the documents and applies it."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_plan.cli.options import acting_options
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import UsageError


@click.command("publish")
@click.option(
    "--wheels",
    metavar="auto|none|DIR",
    default="auto",
    show_default=True,
    help="The copy of the tool that lies beside: made from what runs here, none, or the wheels in DIR.",
)
@acting_options
@pass_session
def command(
    session: Session,
    wheels: str,
    yes: bool,
    approved: str | None,
    lock_timeout: float,
    break_glass: str,
    as_json: bool,
) -> int:
    """Put the documents as they are into all repositories, signed and sealed.

    A machine that has nothing recovers from them with --from. Daemons and timers work by what is published.
    """
    from aegis_plan.cli.apply import plan_and_apply
    from aegis_plan.cli.planning import make_plan
    from aegis_plan.cli.version import version
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.plan.plan import Intent
    from aegis_plan.plan.planfile import digest

    if wheels not in ("auto", "none"):
        if not list(Path(wheels).glob("*.whl")):
            raise UsageError(
                "wheels-missing",
                "there are no wheels",
                f"'{wheels}' is no folder with files that end in .whl",
                "give such a folder, 'auto' or 'none'",
            )
        wheels = str(Path(wheels).absolute())
    loaded = load_documents()
    intent = Intent(kind="publish", options={"wheels": wheels, "tool": version()})
    with world(loaded.documents, loaded.digest, loaded.files) as seen:
        plan = make_plan(seen, intent)
        return plan_and_apply(session, seen, plan, digest(plan), yes, approved, lock_timeout, break_glass, as_json)
