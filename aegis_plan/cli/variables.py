"""`--var` and `--var-file`: options of every command that reads documents, and what they and the environment give."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aegis_plan.cli.session import Session
from aegis_plan.errors import UsageError

if TYPE_CHECKING:
    from aegis_plan.documents.variables import Given

TAKE = (
    "apply", "approve", "backup", "cancel", "catalog", "check", "graph", "keys list", "plan", "publish", "restore",
    "resume", "runs", "schedule export", "schedule history", "schedule list", "schedule run", "skip", "status",
    "unlock", "validate",
)  # fmt: skip
"""Commands that read documents."""


def with_variables(name: str, command: click.Command) -> click.Command:
    """The command, with both options where it reads documents; of a group those of its commands that do."""
    if isinstance(command, click.Group):
        for part, inner in command.commands.items():
            with_variables(f"{name} {part}", inner)
    if name in TAKE and not any(parameter.name == "var" for parameter in command.params):
        command.params.extend(
            (
                click.Option(
                    ["--var"],
                    metavar="NAME=VALUE",
                    multiple=True,
                    expose_value=False,
                    callback=_values,
                    help="Give a variable of the documents a value; may be repeated.",
                ),
                click.Option(
                    ["--var-file"],
                    metavar="FILE",
                    multiple=True,
                    expose_value=False,
                    callback=_files,
                    type=click.Path(path_type=Path),
                    help="Read values of variables from a YAML file; may be repeated, the last one counts.",
                ),
            )
        )
    return command


def given(kept: Mapping[str, str]) -> Given:
    """What this invocation gives for variables."""
    from aegis_plan.documents.variables import Given, of_environment

    context = click.get_current_context(silent=True)
    session = context.find_object(Session) if context is not None else None
    return Given(
        options=session.variables if session is not None else {},
        files=session.variable_files if session is not None else (),
        environment=of_environment(os.environ),
        kept=kept,
    )


def _values(context: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> None:
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise UsageError(
                "variable-option-malformed",
                "a value for a variable is not written as one",
                "--var takes a name, a '=' and a value",
                "write --var NAME=VALUE",
            )
        context.ensure_object(Session).variables[name.strip()] = value


def _files(context: click.Context, _param: click.Parameter, files: tuple[Path, ...]) -> None:
    context.ensure_object(Session).variable_files.extend(files)
