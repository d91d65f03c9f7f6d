"""The options that write a plan as a page or for a pull request, shared by `plan` and `show`."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aegis_plan.plan.plan import Plan


def report_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--html` and `--markdown`."""
    for option in (
        click.option(
            "--markdown",
            metavar="FILE",
            type=click.File("w", encoding="utf-8", lazy=True),
            help="Write the plan as Markdown, for a pull request, to FILE; '-' is standard output.",
        ),
        click.option(
            "--html",
            metavar="FILE",
            type=click.File("w", encoding="utf-8", lazy=True),
            help="Write the plan as one HTML page to FILE; '-' is standard output.",
        ),
    ):
        function = option(function)
    return function


def one_on_output(as_json: bool, html: IO[str] | None, markdown: IO[str] | None) -> None:
    """Raises UsageError `options-contradict` when more than one thing would go to standard output."""
    from aegis_plan.errors import UsageError

    if as_json + _on_output(html) + _on_output(markdown) > 1:
        raise UsageError(
            "options-contradict",
            "these options make no sense together",
            "--json and a report to '-' would both write to standard output",
            "give the report a file, or use --json-into FILE",
        )


def _on_output(file: IO[str] | None) -> bool:
    return getattr(file, "name", "") in ("-", "<stdout>")


def write_reports(plan: Plan, digest: str, html: IO[str] | None, markdown: IO[str] | None, command: str) -> bool:
    """Writes what was asked for; whether standard output was used, which then takes nothing else.

    `command` is what applies the plan, to be told to the reader; empty for none."""
    from aegis_plan.report.plan import summary

    # On a terminal the findings stand above the last line; here it comes first.
    told = summary(plan).replace(", see above", "")
    if html is not None:
        from aegis_plan.report.html import plan_html

        html.write(plan_html(plan, digest, told))
    if markdown is not None:
        from aegis_plan.report.markdown import plan_markdown

        markdown.write(plan_markdown(plan, digest, told, command))
    return _on_output(html) or _on_output(markdown)
