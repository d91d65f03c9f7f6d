"""Every file of the repository that is made from the code: schemas and the reference pages of the manual. It says what
each holds and writes nothing by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import click

_PAGES = "aegis_plan/docs/manual"


def files() -> dict[str, Callable[[], str]]:
    """Path within the repository to what makes its text."""
    from aegis_plan.documents import reference, schema
    from aegis_plan.report import schema as output

    return {
        schema.FILE: schema.text,
        output.EVENTS_FILE: output.events_text,
        output.PLAN_FILE: output.plan_text,
        f"{_PAGES}/reference-documents.md": reference.page,
        f"{_PAGES}/reference-commands.md": commands,
        f"{_PAGES}/reference-steps.md": steps,
        f"{_PAGES}/reference-codes.md": codes,
    }


def commands() -> str:
    """The page of all commands with their arguments and options."""
    from aegis_plan.cli.main import COMMANDS, root

    parts = ["# Reference: commands", "Made from the code. `aegis help commands` tells what they are for."]
    parts.append(_options(root, click.Context(root, info_name="aegis"), "Before any command:"))
    for title, group in COMMANDS.items():
        parts.append(f"## {title}")
        for name in group:
            found = root.get_command(click.Context(root, info_name="aegis"), name)
            assert found is not None
            parts.extend(_command(found, ("aegis", name)))
    return "\n\n".join(part for part in parts if part) + "\n"


def _command(command: click.Command, words: tuple[str, ...]) -> Iterator[str]:
    context = click.Context(command, info_name=" ".join(words))
    usage = " ".join((*words, *command.collect_usage_pieces(context)))
    yield f"### {' '.join(words)}"
    yield f"`{usage}`"
    yield re.sub(r"[ \n]+", " ", (command.help or command.short_help or "").partition("\f")[0]).strip()
    yield _options(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from _command(found, (*words, name))


def _options(command: click.Command, context: click.Context, title: str = "") -> str:
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in record[0]:
            rows.append(f"* `{record[0]}`: {record[1]}" if record[1] else f"* `{record[0]}`")
    return "\n".join([*([title, ""] if title and rows else []), *rows])


def steps() -> str:
    """The page of all kinds of steps."""
    from aegis_plan.actions.spec import ACTIONS

    lines = [
        "# Reference: kinds of steps",
        "",
        "Made from the code. `+` makes something, `~` changes in place, `-/+` replaces, `-` removes, `<=` looks.",
        "",
        "| kind | what it does | sign | can be undone | stops or replaces what serves | tried again |",
        "|---|---|---|---|---|---|",
    ]
    for kind in ACTIONS.values():
        title = kind.title + ("" if kind.built else " (not built yet)")
        again = f"{kind.retries} times" if kind.retries else "no"
        undone, stops = ("yes" if flag else "no" for flag in (kind.reversible, kind.destructive))
        lines.append(f"| `{kind.kind}` | {title} | `{kind.symbol}` | {undone} | {stops} | {again} |")
    return "\n".join(lines) + "\n"


def codes() -> str:
    """The page of all codes of errors and findings, with the first line of what `aegis explain` says."""
    from aegis_plan.cli.explain import sections

    lines = ["# Reference: codes", "", "Made from the manual. `aegis explain CODE` tells why and what to do.", ""]
    lines += [f"* `{code}`: {text.splitlines()[0]}" for code, text in sorted(sections().items())]
    return "\n".join(lines) + "\n"
