"""`aegis catalog`: what can be restored, read from the repositories alone."""

from __future__ import annotations

from dataclasses import replace

import click

from aegis_plan.cli.completing import declared
from aegis_plan.cli.planning import require_known
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import EXIT_FAILED
from aegis_plan.report.visible import dumps


@click.command("catalog")
@click.argument("store", required=False, shell_complete=declared("stores"))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@pass_session
def command(session: Session, store: str | None, as_json: bool) -> int:
    """The backups of all stores, or of STORE, and the spans of time to which they can go back; for each service the
    latest moment to which all its stores can go together.

    Exit code 1 when no backup of a store is seen and a repository of it could not be read.
    """
    from aegis_plan.cli.posture import posture_of
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.report.posture import as_data, show_catalog

    loaded = load_documents()
    require_known("store", store, loaded.documents.stores)
    with world(loaded.documents, loaded.digest) as seen:
        snapshot = seen.observe((store,) if store else None)
    posture = posture_of(loaded.documents, snapshot, None)
    if store:
        posture = replace(
            posture, stores=tuple(one for one in posture.stores if one.store == store), together=(), orphans=()
        )
    if as_json:
        click.echo(dumps(as_data(posture), indent=2))
    else:
        show_catalog(posture, session.console())
    return EXIT_FAILED if posture.unknown else 0
