"""`aegis plan`: shows what would be done. Writes nothing but the files that it is told to write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from aegis_plan.cli.options import planning_options
from aegis_plan.cli.planning import Asked, exit_code, intent_of, make_plan
from aegis_plan.cli.reporting import one_on_output, report_options, write_reports
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.cli.what_if import answers, show_answers, what_if_options
from aegis_plan.errors import AegisError, UsageError

if TYPE_CHECKING:
    from aegis_plan.plan.plan import Plan


@click.command("plan")
@planning_options
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="Save the plan, to be applied as it is.")
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line on standard output.")
@click.option("--json-into", metavar="FILE", type=click.File("w", lazy=True), help="Write the JSON events to FILE too.")
@report_options
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when there is something to do.")
@click.option("--preflight", "ready", is_flag=True, help="List what a scenario, or each, would need and lacks here.")
@what_if_options
@pass_session
def command(
    session: Session,
    asked: Asked,
    out: Path | None,
    as_json: bool,
    json_into: IO[str] | None,
    html: IO[str] | None,
    markdown: IO[str] | None,
    detailed_exitcode: bool,
    ready: bool,
    fails: str | None,
    down: str | None,
) -> int:
    """Show what would be done, how long it takes and what would be lost.

    Without a scenario: what protection needs (backups due, missing copies, log). With --scenario: a recovery.
    Times without an offset are read in the time zone of the system.
    """
    if ready:
        from aegis_plan.cli.preflight import preflight

        if out or json_into or html or markdown:
            raise UsageError(
                "options-contradict",
                "these options make no sense together",
                "--preflight makes no plan that could be saved",
                "leave --out, --json-into, --html and --markdown out; --json gives its report as one document",
            )
        if detailed_exitcode or fails is not None or down is not None:
            raise UsageError(
                "options-contradict",
                "these options make no sense together",
                "--preflight asks what is there and shows no plan",
                "leave --detailed-exitcode, --what-if-fails and --what-if-down out; --site-down works with it",
            )
        return preflight(session, asked, as_json)
    one_on_output(as_json, html, markdown)
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.report.events import plan_events
    from aegis_plan.report.plan import show_plan

    loaded = load_documents()
    intent = intent_of(asked, loaded.documents)
    with world(loaded.documents, loaded.digest, loaded.files) as seen:
        plan = make_plan(seen, intent)
    found = answers(plan, fails, down)
    digest = write_plan(plan, out) if out else ""
    if as_json or json_into:
        data = {name: answer.as_data() for name, answer in found.items()}
        for line in plan_events(plan, digest, data):
            if json_into:
                json_into.write(line + "\n")
            if as_json:
                click.echo(line)
    told = False
    if html or markdown:
        from aegis_plan.plan.planfile import digest as digest_of

        command = f"aegis apply {_quoted(out)}" if out else ""
        told = write_reports(plan, digest or digest_of(plan), html, markdown, command)
    if not as_json and found:
        show_answers(session, plan, found)
    elif not as_json and not told:
        console = session.console()
        show_plan(plan, console)
        if out:
            console.print(f"\nSaved to {out}, digest {digest[:12]}.", soft_wrap=True)
            if not plan.blocked and not os.environ.get("AEGIS_IN_AUTOMATION"):
                console.print(f"Apply it with: aegis apply {_quoted(out)}", soft_wrap=True)
    return exit_code(plan, detailed_exitcode)


def write_plan(plan: Plan, target: Path) -> str:
    """Saves a plan and returns its digest. Raises AegisError `file-not-written`."""
    from aegis_plan.plan.planfile import pieces
    from aegis_plan.repositories.collecting import uncollected

    with uncollected():
        digest, parts = pieces(plan)
    try:
        with target.open("wb") as file:
            file.writelines(parts)
    except OSError as error:
        raise AegisError("file-not-written", "a file cannot be written", f"{target}: {error.strerror}") from None
    return digest


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
