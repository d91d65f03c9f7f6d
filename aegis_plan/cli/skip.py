"""`aegis skip`: leaves a step of a run out; the reason stands in the journal."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_plan.cli.completing import steps
from aegis_plan.cli.session import Session, pass_session


@click.command("skip")
@click.argument("step", shell_complete=steps)
@click.argument("reason")
@click.option("--run", "run", metavar="RUN", default=None, help="Which run; default the newest that is not over.")
@click.option("--site-file", metavar="FILE", type=click.Path(path_type=Path), help="The site whose run is meant.")
@pass_session
def command(session: Session, step: str, reason: str, run: str | None, site_file: Path | None) -> None:
    """Leave STEP of a run out, for this REASON."""
    from aegis_plan.cli.applying import who
    from aegis_plan.cli.runfolder import find_run, require_step, runs_folder
    from aegis_plan.clock import SystemClock
    from aegis_plan.run.inbox import send

    folder = find_run(runs_folder(site_file), run)
    require_step(folder, step)
    send(folder, "skip", SystemClock(), step=step, word=reason, by=who())
    session.console().print(
        f"Told run {folder.name}: leave {step} out. What became of it: aegis runs {folder.name}", soft_wrap=True
    )
