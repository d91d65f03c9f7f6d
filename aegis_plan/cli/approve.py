"""`aegis approve`: speaks to a run that waits for a person, from another terminal."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_plan.cli.completing import steps
from aegis_plan.cli.session import Session, pass_session


@click.command("approve")
@click.argument("step", shell_complete=steps)
@click.option("--run", "run", metavar="RUN", default=None, help="Which run; default the newest that is not over.")
@click.option("--site-file", metavar="FILE", type=click.Path(path_type=Path), help="The site whose run is meant.")
@pass_session
def command(session: Session, step: str, run: str | None, site_file: Path | None) -> None:
    """Approve STEP of a run that waits for it."""
    from aegis_plan.cli.applying import who
    from aegis_plan.cli.runfolder import find_run, require_step, runs_folder
    from aegis_plan.clock import SystemClock
    from aegis_plan.run.inbox import send

    folder = find_run(runs_folder(site_file), run)
    require_step(folder, step)
    send(folder, "approve", SystemClock(), step=step, by=who())
    session.console().print(f"Told run {folder.name}: {step} is approved.", soft_wrap=True)
