"""`aegis cancel`: asks a run to end gracefully; it can be resumed."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_plan.cli.completing import runs
from aegis_plan.cli.session import Session, pass_session


@click.command("cancel")
@click.argument("run", required=False, shell_complete=runs)
@click.option("--site-file", metavar="FILE", type=click.Path(path_type=Path), help="The site whose run is meant.")
@pass_session
def command(session: Session, run: str | None, site_file: Path | None) -> None:
    """End RUN gracefully; without RUN the newest one that is not over. What runs is brought to an end, and
    'aegis resume' can go on."""
    from aegis_plan.cli.applying import who
    from aegis_plan.cli.runfolder import find_run, runs_folder
    from aegis_plan.clock import SystemClock
    from aegis_plan.run.inbox import send

    folder = find_run(runs_folder(site_file), run)
    send(folder, "cancel", SystemClock(), by=who())
    session.console().print(f"Told run {folder.name}: end gracefully.", soft_wrap=True)
