"""The command `aegis`: finds the module of a command, and turns what it raises into text and an exit code.

It imports no command before that command is called, so that help is there at once.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from aegis_plan.cli.session import Session
from aegis_plan.cli.source import with_source
from aegis_plan.cli.streams import lost, steady
from aegis_plan.cli.variables import with_variables
from aegis_plan.errors import (
    EXIT_BREACH,
    EXIT_CHANGES,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    AegisError,
)  # fmt: skip

COMMANDS: dict[str, dict[str, str]] = {
    "Write and check": {
        "init": "Write a folder to begin with.",
        "validate": "Check the documents; touches nothing else.",
        "fmt": "Bring the documents into one style; comments and meaning stay.",
        "graph": "Draw services, stores and sites, a scenario or a saved plan.",
        "schema": "Print or write the JSON Schema of the documents.",
        "keys": "Make, list and change keys; say who can open what.",
    },
    "Plan": {
        "check": "What servers and repositories lack for all that is declared.",
        "plan": "Show what would be done, how long it takes and what would be lost.",
        "show": "Show a saved plan, anywhere.",
    },
    "Act": {
        "apply": "Do exactly what a plan says.",
        "resume": "Go on with a run that stopped.",
        "approve": "Approve a step that waits for a person.",
        "skip": "Leave a step of a running run out.",
        "cancel": "End a run gracefully.",
        "unlock": "Take a lease from an owner that is gone.",
        "backup": "Take a backup now, or what is due.",
        "verify": "Look at every copy, read some of it, and remember what was found.",
        "hold": "Keep backups whatever their age, or end that.",
        "prune": "Let backups go that are older than they are kept.",
        "schedule": "When backups are due, and who sees to it.",
        "restore": "Bring a store back.",
        "publish": "Put the documents, signed and sealed, into the repositories.",
    },
    "Look": {
        "status": "How protected everything is now.",
        "catalog": "What can be restored.",
        "runs": "What was done before.",
    },
    "More": {
        "site": "What runs at a site: worker and daemon.",
        "demo": "A disaster and a recovery, on this machine, in a minute.",
        "explain": "What an error code means, or why a step is in a plan.",
        "help": "The manual, offline.",
        "completion": "Print a completion script for a shell.",
    },
}
"""Every command with its line in the help, in the order of the help."""


class Root(click.Group):
    """The group of all commands, each in the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for group in COMMANDS.values() for name in group]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if not any(name in group for group in COMMANDS.values()):
            return None
        module = importlib.import_module(f"aegis_plan.cli.{name}")
        command = getattr(module, "command", None) or module.site
        assert isinstance(command, click.Command)
        return with_source(name, with_variables(name, command))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and name not in self.list_commands(ctx):
            from aegis_plan.documents.nearest import meant

            hint = meant(name, self.list_commands(ctx), "'aegis --help' lists them.")
            raise click.UsageError(f"there is no command '{name}'. {hint[0].upper()}{hint[1:]}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, group in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl(list(group.items()), col_max=14)


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from aegis_plan.cli.version import version

        click.echo(f"aegis {version()}")
        ctx.exit()


@click.command(cls=Root, name="aegis", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-C", "folder", metavar="DIR", default=None, help="Run as if started in DIR.")
@click.option("-v", "verbose", count=True, help="Tell more; -vv also shows where a failure comes from.")
@click.option("--no-color", is_flag=True, help="No colours; NO_COLOR does the same.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="The version."
)
@click.pass_context
def root(ctx: click.Context, folder: str | None, verbose: int, no_color: bool) -> None:
    """Terraform for disaster recovery: declare what you run and may lose, see what would happen, recover and prove it.

    The documents are read from plans/ in the current folder, or from the folder itself.
    """
    session = ctx.ensure_object(Session)
    session.verbose = verbose
    session.color = not no_color and not os.environ.get("NO_COLOR")
    if folder:
        try:
            os.chdir(folder)
        except OSError as error:
            raise click.UsageError(f"cannot go to {folder}: {error.strerror}", ctx) from None


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; never raises."""
    if args is None:
        steady()
    exit_code = _run(args)
    if args is None and (error := lost()) is not None:
        from aegis_plan.cli.failure import tell_lost

        tell_lost(error)
        # What the codes for 'fine' and for findings promise to have told is not there.
        return EXIT_FAILED if exit_code in (EXIT_OK, EXIT_CHANGES, EXIT_BREACH) else exit_code
    return exit_code


def _run(args: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if args is None else args)
    before_dashes = arguments[: arguments.index("--")] if "--" in arguments else arguments
    session = Session(json="--json" in before_dashes)
    session.color = "--no-color" not in before_dashes and not os.environ.get("NO_COLOR")
    session.verbose = 2 if "-vv" in before_dashes else 0
    if not arguments:
        arguments = ["--help"]
    try:
        result: Any = root.main(arguments, prog_name="aegis", standalone_mode=False, obj=session)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.UsageError as error:
        from aegis_plan.cli.failure import tell_usage

        tell_usage(session, error)
        return EXIT_USAGE
    except click.ClickException as error:
        click.echo(f"error: {error.format_message()}", err=True)
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`aegis plan | head`): nothing more can be told, and nothing went wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except AegisError as error:
        from aegis_plan.cli.failure import tell

        tell(session, error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last net: a person never sees a traceback unasked
        from aegis_plan.cli.failure import tell_crash

        tell_crash(session, error)
        return EXIT_FAILED
