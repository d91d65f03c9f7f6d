"""`aegis status`: how protected everything is at this moment. Looks only."""

from __future__ import annotations

import click

from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import EXIT_BREACH
from aegis_plan.report.visible import dumps


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@pass_session
def command(session: Session, as_json: bool) -> int:
    """How protected everything is now, and what would be lost if it failed at this moment.

    Exit code 3 when that is more than an objective allows.
    """
    from aegis_plan.cli.planning import plan_from
    from aegis_plan.cli.posture import posture_of
    from aegis_plan.cli.version import version
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.plan.plan import Intent
    from aegis_plan.report.posture import as_data, show_posture

    loaded = load_documents()
    with world(loaded.documents, loaded.digest, loaded.files) as seen:
        snapshot = seen.observe()
    plan = plan_from(loaded.documents, loaded.digest, Intent(kind="protect"), snapshot, version())
    posture = posture_of(loaded.documents, snapshot, plan)
    if as_json:
        click.echo(dumps(as_data(posture), indent=2))
    else:
        show_posture(posture, session.console())
    return EXIT_BREACH if posture.breached else 0
