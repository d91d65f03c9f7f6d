"""Tells a failure to a person or a program. It decides nothing, exit codes come with the errors."""

from __future__ import annotations

import os
import sys
import traceback

import click

from aegis_plan.cli.session import Session
from aegis_plan.errors import AegisError, DocumentsError
from aegis_plan.report.visible import dumps, visible

MOST_SHOWN = 200
"""Problems or findings that a person is shown at once; tens of thousands would take minutes."""


def tell(session: Session, error: AegisError) -> None:
    """Prints an expected failure; all problems of the documents, one after the other."""
    problems = error.problems if isinstance(error, DocumentsError) else [error]
    if session.json:
        for problem in problems:
            _emit(problem.as_data(), f"{problem.summary}: {problem.detail}" if problem.detail else problem.summary)
        return
    for problem in problems[:MOST_SHOWN]:
        _print(session, problem)
    if len(problems) > MOST_SHOWN:
        click.echo(f"And {len(problems) - MOST_SHOWN} more; 'aegis validate --json' has all.", err=True)
    if isinstance(error, DocumentsError) and len(problems) > 1:
        click.echo(f"{len(problems)} problems found.", err=True)
    if session.verbose > 1 or os.environ.get("AEGIS_TRACEBACK"):
        click.echo("".join(traceback.format_exception(error)), err=True)


def tell_usage(session: Session, error: click.UsageError) -> None:
    """Prints a mistake on the command line with the usage of the command."""
    if session.json:
        _emit({"code": "usage", "summary": "the command line makes no sense", "detail": error.format_message()})
        return
    if error.ctx:
        click.echo(error.ctx.get_usage(), err=True)
    click.echo(f"{_red(session, 'error')}: {visible(error.format_message(), lines=True)}", err=True)
    if error.ctx:
        click.echo(f"hint: {error.ctx.command_path} --help", err=True)


def tell_crash(session: Session, error: Exception) -> None:
    """Prints a bug in one line with its type and place; the message itself could hold a secret and is left out."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "aegis_plan" in frame.filename]
    place = f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "an unknown place"
    trouble = AegisError(
        "internal-error",
        "something in the tool itself went wrong",
        f"{type(error).__name__} at {place}",
        "AEGIS_TRACEBACK=1 shows where it comes from; what was already done stands in the journal (aegis runs)",
    )
    if session.json:
        _emit(trouble.as_data(), f"{trouble.summary}: {trouble.detail}")
    else:
        _print(session, trouble)
    if session.verbose > 1 or os.environ.get("AEGIS_TRACEBACK"):
        click.echo("".join(traceback.format_exception(error)), err=True)


def tell_lost(error: OSError) -> None:
    """Says on standard error that standard output could not be written, for there it cannot be said."""
    _print(
        Session(color=False),
        AegisError(
            "output-lost",
            "what there was to tell could not be written",
            f"standard output: {os.strerror(error.errno) if error.errno else 'it cannot be written'}",
            "make room or name another file; what the command did is done all the same",
        ),
    )


def _print(session: Session, error: AegisError) -> None:
    click.echo(f"{_red(session, 'error')}[{error.code}]: {visible(error.summary)}", err=True)
    # What is wrong with a document is told in one line; more lines would come from the document.
    for line in visible(error.detail, lines=error.position is None).split("\n") if error.detail else ():
        click.echo(f"  {line}", err=True)
    if error.position:
        click.echo(f"  --> {visible(str(error.position))}", err=True)
    if error.hint:
        first, *rest = visible(error.hint, lines=error.position is None).split("\n")
        click.echo(f"  hint: {first}", err=True)
        for line in rest:
            click.echo(f"        {line}", err=True)


def _red(session: Session, text: str) -> str:
    return click.style(text, fg="red", bold=True) if session.color and sys.stderr.isatty() else text


def _emit(data: dict[str, object], message: str = "") -> None:
    from datetime import UTC, datetime

    from aegis_plan.clock import stamp

    line = {"type": "error", "@timestamp": stamp(datetime.now(UTC)), "@message": message or data["summary"], **data}
    click.echo(dumps(line))
