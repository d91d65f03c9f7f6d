"""What the manual tells people to type exists: every command in it is one, with options that it takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from aegis_plan.cli.main import root

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "aegis_plan" / "docs").rglob("*.md")) if not page.stem.startswith("reference-")),
]


def typed(text: str) -> Iterator[str]:
    """Every command line in a page: in backquotes, in quotes, or on a line of its own in a block."""
    inside = False
    for line in text.splitlines():
        if line.startswith("```"):
            inside = not inside
            continue
        if inside or line.startswith("    "):
            for part in re.split(r"&&|\|\||[;|]", line):
                words = part.split("#")[0].split()
                if words and words[0] == "$":
                    words = words[1:]
                if words and words[0] in ("aegis", ".venv/bin/aegis"):
                    yield " ".join(words)
        else:
            yield from (found for found in re.findall(r"[`'](aegis [^`'\n]+)[`']", line))


def wrong(line: str) -> str | None:
    """What is wrong with a command line, or None. Of a choice such as `[A|B]` the first is taken."""
    text = line.partition(" > ")[0].rstrip(".,:")
    text = re.sub(r"\|[^\s\]|]+", "", text).replace("[", "").replace("]", "").replace("...", "X")
    try:
        words = shlex.split(text)[1:]
    except ValueError as error:
        return str(error)
    command: click.Command = root
    context = click.Context(root, info_name="aegis")
    while True:
        if isinstance(command, click.Group) and words in (["COMMAND"], ["COMMAND", "--help"]):
            return None
        try:
            _, rest, _ = command.make_parser(context).parse_args(words)
        except click.BadOptionUsage as error:
            named = words and words[-1].lstrip("-") == error.option_name.lstrip("-")  # `--out`, without its value
            return None if named else error.format_message()
        except click.UsageError as error:
            return error.format_message()
        if not isinstance(command, click.Group):
            return f"too many words: {' '.join(rest)}" if rest else None
        if not rest:
            return None
        found = command.get_command(context, rest[0])
        if found is None:
            return f"no command {rest[0]}"
        command, words = found, rest[1:]
        context = click.Context(found, info_name=rest[0], parent=context)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_typed_exists(page: Path) -> None:
    found = [f"{line}: {why}" for line in typed(page.read_text(encoding="utf-8")) if (why := wrong(line))]
    assert found == []


def test_it_finds_what_is_wrong() -> None:
    page = "```\naegis plann\n```\n`aegis plan --to-day` and 'aegis keys old'\n\n    aegis -C x plan --out p  # fine\n"
    found = [wrong(line) or "" for line in typed(page)]
    assert [part in text for part, text in zip(["plann", "--to-day", "old"], found, strict=False)] == [True] * 3
    assert found[3] == ""
