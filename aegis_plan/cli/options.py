"""The planning options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from aegis_plan.cli.planning import Asked


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
        )
        return function(*args, asked=asked, **options)

    for option in reversed(
        (
            click.option("--scenario", metavar="NAME", help="Recover as this scenario says."),
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
        )
    ):
        wrapped = option(wrapped)
    return wrapped
