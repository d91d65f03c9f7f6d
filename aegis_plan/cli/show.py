"""`aegis show FILE`: a saved plan, on any machine, without the documents."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from aegis_plan.cli.reporting import one_on_output, report_options, write_reports
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.cli.what_if import answers, show_answers, what_if_options
from aegis_plan.errors import AegisError, UsageError
from aegis_plan.report.visible import dumps

if TYPE_CHECKING:
    from aegis_plan.plan.plan import Plan


def read_plan(path: Path) -> tuple[Plan, str]:
    """A saved plan and its digest. Raises AegisError `file-not-read`, and what `plan/planfile.py` raises."""
    return read_file(path)[:2]


def read_file(path: Path) -> tuple[Plan, str, bytes]:
    """The same with the bytes of the file."""
    from aegis_plan.plan.planfile import read
    from aegis_plan.repositories.collecting import uncollected

    try:
        data = path.read_bytes()
    except OSError as error:
        raise AegisError("file-not-read", "a file cannot be read", f"{path}: {error.strerror}") from None
    with uncollected():
        return (*read(data), data)


def steps_of(path: Path, begin: str) -> list[str]:
    """Ids of the steps of a saved plan that begin so, for completion; none when it cannot be read."""
    try:
        return [step.id for step in read_plan(path)[0].steps if step.id.startswith(begin)]
    except AegisError:
        return []


def _steps(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    file = ctx.params.get("file")
    return steps_of(file, incomplete) if file else []


@click.command("show")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document: the plan, or what else was asked for.")
@click.option(
    "--json-into", metavar="FILE", type=click.File("w", lazy=True), help="Write the plan's document to FILE too."
)
@report_options
@click.option("--step", metavar="ID", shell_complete=_steps, help="Explain this step instead.")
@what_if_options
@pass_session
def command(
    session: Session,
    file: Path | None,
    as_json: bool,
    json_into: IO[str] | None,
    html: IO[str] | None,
    markdown: IO[str] | None,
    step: str | None,
    fails: str | None,
    down: str | None,
) -> None:
    """Show the saved plan FILE, a step of it, or what it would be if something went wrong.

    With --from and without FILE: the documents as they were published.
    """
    from aegis_plan.report.plan import show_plan

    if (step or fails or down) and (json_into or html or markdown):
        raise UsageError(
            "options-contradict",
            "these options make no sense together",
            "--html, --markdown and --json-into write the whole plan",
            "leave --step and --what-if-... out, or use --json",
        )
    one_on_output(as_json, html, markdown)
    if file is None:
        _show_documents(session, as_json)
        return
    plan, digest = read_plan(file)
    if step is not None:
        from aegis_plan.cli.explain import explain_step

        explain_step(session, plan, step, as_json)
        return
    found = answers(plan, fails, down)
    if found:
        if as_json:
            data = {name: answer.as_data() for name, answer in found.items()}
            click.echo(dumps({"format": 1, "digest": digest, **data}))
        else:
            show_answers(session, plan, found)
        return
    if as_json or json_into:
        from aegis_plan.report.events import plan_document

        text = plan_document(plan, digest)
        if json_into:
            json_into.write(text + "\n")
    told = write_reports(plan, digest, html, markdown, f"aegis apply {shlex.quote(str(file))}")
    if as_json:
        click.echo(text)
    if as_json or told:
        return
    out = session.console()
    show_plan(plan, out)
    out.print(f"\nDigest {digest}", style="quiet", soft_wrap=True)


def _show_documents(session: Session, as_json: bool) -> None:
    """Every file of the documents, one after the other. Raises UsageError `plan-not-named` without `--from`."""
    from aegis_plan.cli.standin import of
    from aegis_plan.documents.load import document_files, read_document

    if session.plans is None:
        raise UsageError(
            "plan-not-named",
            "nothing says what to show",
            "there is no FILE",
            "name a saved plan; with --from URL the published documents are shown",
        )
    files = {
        file.relative_to(session.plans).as_posix(): read_document(file).decode("utf-8", "replace")
        for file in document_files(session.plans)
    }
    if as_json:
        stands = of(session.plans)
        click.echo(dumps({"format": 1, "revision": stands.number if stands else 0, "files": files}, indent=2))
        return
    for name, text in files.items():
        click.echo(f"# {name}\n{text}")
