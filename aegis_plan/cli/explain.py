"""`aegis explain CODE`: the section of an error code in the manual."""

from __future__ import annotations

import re
from difflib import get_close_matches

import click

from aegis_plan.cli.manual import folder, print_markdown
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import UsageError

_SECTION = re.compile(r"^## ([a-z0-9-]+)\s*$", re.MULTILINE)


def sections() -> dict[str, str]:
    """Every explained code with its text, without the heading."""
    found: dict[str, str] = {}
    for page in sorted((folder() / "errors").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        marks = list(_SECTION.finditer(text))
        for mark, following in zip(marks, [*marks[1:], None], strict=True):
            found[mark.group(1)] = text[mark.end() : following.start() if following else None].strip()
    return found


def _complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [code for code in sorted(sections()) if code.startswith(incomplete)]


@click.command("explain")
@click.argument("code", required=False, shell_complete=_complete)
@pass_session
def command(session: Session, code: str | None) -> None:
    """What an error code means, why it matters and what to do. Without CODE: all codes."""
    known = sections()
    if code is None:
        for name in sorted(known):
            click.echo(name)
        return
    code = code.strip().removeprefix("error[").removesuffix("]")
    if code not in known:
        near = get_close_matches(code, known, n=1)
        raise UsageError(
            "code-unknown",
            "there is no such error code",
            f"'{code}' is not explained",
            f"did you mean '{near[0]}'?" if near else "'aegis explain' without a code lists them all",
        )
    print_markdown(f"## {code}\n\n{known[code]}", session.console())
