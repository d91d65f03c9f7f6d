"""`--from` and its kin: options of every command with which a machine that has nothing recovers. They make the working
folder before the command begins.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from aegis_plan.cli.session import Session
from aegis_plan.errors import UsageError

TAKE = ("apply", "catalog", "plan", "restore", "resume", "runs", "show", "status")
"""Commands that can work from a repository alone."""


@dataclass(frozen=True)
class Source:
    """What was given."""

    address: str
    key: Path | None = None
    trust: tuple[str, ...] = ()
    into: Path | None = None
    site: str | None = None
    system: str | None = None
    repository: str | None = None
    escrow: Path | None = None


_OPTIONS: dict[str, Callable[[], click.Option]] = {
    "source_from": lambda: click.Option(
        ["--from", "source_from"],
        metavar="URL",
        help="Work from a repository alone: file:///PATH, s3://BUCKET/PREFIX or azure://ACCOUNT/CONTAINER/PREFIX.",
    ),
    "source_key": lambda: click.Option(
        ["--key", "source_key"],
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="With --from: the private key. Without it AEGIS_KEY_FILE and AEGIS_KEY count, then it is asked for.",
    ),
    "source_trust": lambda: click.Option(
        ["--trust", "source_trust"],
        metavar="KEY|FILE",
        multiple=True,
        help="With --from: a signer to believe, ed25519:..., or a file that names some, such as a recovery sheet.",
    ),
    "source_into": lambda: click.Option(
        ["--into", "source_into"],
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="With --from: the working folder; default recovery-SYSTEM.",
    ),
    "source_site": lambda: click.Option(
        ["--site", "source_site"], metavar="NAME", help="With --from: the site for which this machine stands in."
    ),
    "source_system": lambda: click.Option(
        ["--system", "source_system"], metavar="NAME", help="With --from: which system, where there are several."
    ),
    "source_repository": lambda: click.Option(
        ["--repository", "source_repository"],
        metavar="NAME",
        help="With --from: what the documents call the repository, where nothing else tells.",
    ),
    "source_escrow": lambda: click.Option(
        ["--escrow", "source_escrow"],
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="With --from: the escrow file that holds the values of secret references.",
    ),
}


def with_source(name: str, command: click.Command) -> click.Command:
    """The command with the options, where it takes them."""
    if name not in TAKE or any(parameter.name == "source_from" for parameter in command.params):
        return command
    command.params.extend(make() for make in _OPTIONS.values())
    inner = command.callback
    assert inner is not None

    @functools.wraps(inner)
    def callback(*args: Any, **options: Any) -> Any:
        given = {option: options.pop(option) for option in _OPTIONS}
        session = click.get_current_context().ensure_object(Session)
        _enter(session, given)
        return inner(*args, **options)

    command.callback = callback
    return command


def _enter(session: Session, given: dict[str, Any]) -> None:
    if given["source_from"] is None:
        for option, value in given.items():
            if value:
                raise UsageError(
                    "options-contradict",
                    "these options make no sense together",
                    f"--{option.removeprefix('source_')} belongs to --from",
                    "name the repository with --from URL, or leave it out",
                )
        return
    from aegis_plan.cli.bare import enter

    source = Source(*(given[option] for option in _OPTIONS))
    session.plans = enter(session, source)
