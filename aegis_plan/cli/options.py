"""The planning options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from aegis_plan.cli.planning import Asked

give_up_option = click.option(
    "--give-up-old-data",
    is_flag=True,
    help="Where there is no room for both, remove the old data first; that step waits for an approval of its own.",
)


def planning_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--scenario`, `--store` and their kin, and hands them over as one `asked`."""

    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> Any:
        asked = Asked(
            scenario=options.pop("scenario"),
            stores=options.pop("store"),
            to=options.pop("to"),
            failed_at=options.pop("failed_at"),
            before=options.pop("before"),
            sites_down=options.pop("site_down"),
            beside=options.pop("beside"),
            member=options.pop("member"),
            give_up_old_data=options.pop("give_up_old_data"),
            parallelism=options.pop("parallelism"),
            strategy=options.pop("strategy"),
        )
        return function(*args, asked=asked, **options)

    for option in reversed(
        (
            click.option("--scenario", metavar="NAME", help="Recover as this scenario says."),
            click.option(
                "--strategy",
                type=click.Choice(("restore", "failover", "partial", "auto")),
                help="Come back this way, whatever the scenario says.",
            ),
            click.option("--store", metavar="NAME", multiple=True, help="Only this store; may be repeated."),
            click.option("--to", metavar="TIME", help="Back to this moment, or 'latest' (the default)."),
            click.option("--failed-at", metavar="TIME", help="When it broke; RTA and RPA count from here."),
            click.option("--before", metavar="TIME", help="Back to the last moment before an infection."),
            click.option("--site-down", metavar="NAME", multiple=True, help="Plan as if this site were gone."),
            click.option(
                "--beside",
                metavar="PATH",
                type=click.Path(path_type=Path),
                help="Restore into a folder, touch no server.",
            ),
            click.option("--member", metavar="NAME", help="Restore onto this server of the store."),
            give_up_option,
            click.option(
                "--parallelism",
                metavar="N",
                type=click.IntRange(1, 1000),
                help="Run so many steps at once at most (8); the forecast counts with it.",
            ),
        )
    ):
        wrapped = option(wrapped)
    return wrapped


def seconds(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    """A duration on the command line, in seconds."""
    from aegis_plan.documents.scalars import parse_duration

    try:
        return parse_duration(value).total_seconds()
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def acting_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds how a plan is approved, and what to do about locks."""
    for option in reversed(
        (
            click.option("-y", "--yes", is_flag=True, help="Do not ask."),
            click.option(
                "--approve", "approved", metavar="DIGEST", help="Apply only the plan of this digest; do not ask."
            ),
            click.option(
                "--lock-timeout", metavar="DURATION", default="0s", callback=seconds, help="Wait this long for others."
            ),
            click.option("--break-glass", metavar="REASON", default="", help="Go on without the state authority."),
            click.option("--json", "as_json", is_flag=True, help="One JSON event a line on standard output."),
        )
    ):
        function = option(function)
    return function
