"""`aegis resume [RUN]`: goes on with a run, from its journal and plan alone."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_plan.cli.completing import runs
from aegis_plan.cli.options import seconds
from aegis_plan.cli.session import Session, pass_session


@click.command("resume")
@click.argument("run", required=False, shell_complete=runs)
@click.option("--answer", "answers", metavar="STEP=done|not-done", multiple=True, help="What became of a step.")
@click.option(
    "--retry", "retries", metavar="STEP", multiple=True, help="Act again on this step, where the run asks about it."
)
@click.option("--site-file", metavar="FILE", type=click.Path(path_type=Path), help="The site whose run is meant.")
@click.option("--lock-timeout", metavar="DURATION", default="0s", callback=seconds, help="Wait this long for others.")
@click.option("--break-glass", metavar="REASON", default="", help="Go on without the state authority.")
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line on standard output.")
@pass_session
def command(
    session: Session,
    run: str | None,
    answers: tuple[str, ...],
    retries: tuple[str, ...],
    site_file: Path | None,
    lock_timeout: float,
    break_glass: str,
    as_json: bool,
) -> int:
    """Go on with RUN; without RUN with the newest one that is not over.

    What was done is not done again. Where nobody knows what became of a step, --answer tells.
    """
    from aegis_plan.cli import applying
    from aegis_plan.cli.mirroredruns import require_vouched
    from aegis_plan.cli.runfolder import find_run, runs_folder
    from aegis_plan.cli.show import read_file
    from aegis_plan.cli.wire import world
    from aegis_plan.run.inbox import send
    from aegis_plan.run.keep import PLAN

    folder = find_run(runs_folder(site_file), run)
    require_vouched(folder)
    plan, digest, kept = read_file(folder / PLAN)
    with world(plan.documents, plan.documents_digest) as seen:
        for answer in answers:
            step, _, word = answer.partition("=")
            send(folder, "answer", seen.clock, step=step, word=word, by=applying.who())
        for step in retries:
            send(folder, "retry", seen.clock, step=step, by=applying.who())
        if not as_json:
            click.echo(f"Goes on with run {folder.name}.")
        snapshot = seen.observe(plan.intent.stores or None, plan.intent.sites_down)
        return applying.carry_out(
            session,
            seen,
            plan,
            digest,
            folder.name,
            "",
            snapshot,
            kept=kept,
            resume=True,
            lock_timeout=lock_timeout,
            break_glass=break_glass,
            as_json=as_json,
        ).exit_code
