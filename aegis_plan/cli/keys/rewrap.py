"""`aegis keys rewrap`: wraps all data keys to the recipients that the documents name today, as a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aegis_plan.cli.completing import declared
from aegis_plan.cli.options import acting_options
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import UsageError

identity_option = click.option(
    "--identity", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with a key that opens the old forms, such as the recovery key.",
)  # fmt: skip


@click.command("rewrap")
@click.option("--store", "stores", metavar="NAME", multiple=True, shell_complete=declared("stores"),
              help="Only this store; may be repeated.")  # fmt: skip
@identity_option
@acting_options
@pass_session
def command(session: Session, /, stores: tuple[str, ...], identity: Path | None, **acting: Any) -> int:
    """Wrap the data keys of all backups to the recipients of today; no data is written.

    What was removed from the documents opens nothing any more afterwards.
    """
    return rewrap(session, stores, identity, **acting)


def rewrap(session: Session, stores: tuple[str, ...], identity: Path | None, **acting: Any) -> int:
    """Makes the plan, has it approved and carries it out; returns the exit code."""
    from aegis_plan.cli.apply import plan_and_apply
    from aegis_plan.cli.planning import make_plan, require_known
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.plan.plan import Intent
    from aegis_plan.plan.planfile import digest

    loaded = load_documents()
    for store in stores:
        require_known("store", store, loaded.documents.stores)
    with world(loaded.documents, loaded.digest) as seen:
        options: dict[str, Any] = {}
        if identity is not None:
            options = {"identity": reference(identity), "site": seen.here.file.site}
        plan = make_plan(seen, Intent(kind="rewrap", stores=stores, options=options))
        return plan_and_apply(
            session, seen, plan, digest(plan), acting["yes"], acting["approved"], acting["lock_timeout"],
            acting["break_glass"], acting["as_json"],
        )  # fmt: skip


def reference(path: Path) -> str:
    """A file with a key as a step names it: the key itself is never in a plan. Raises UsageError
    `path-not-usable`."""
    text = str(path.absolute())
    if "}" in text or "${" in text:
        raise UsageError(
            "path-not-usable", "a path cannot be named in a plan", f"{text} holds a brace", "give it another name"
        )
    return "${file:" + text + "}"


def can_act(session: Session, yes: bool, approved: str | None) -> None:
    """Holds that somebody can approve before files are changed. Raises UsageError `approval-missing`."""
    if not yes and not approved and not session.interactive:
        raise UsageError(
            "approval-missing", "nobody approved this", "there is no terminal to ask at", "add -y; nothing was changed"
        )
