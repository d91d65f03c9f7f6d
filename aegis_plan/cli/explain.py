"""`aegis explain`: the section of an error code in the manual, or a step of a plan."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aegis_plan.cli.manual import folder, print_markdown
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.documents.nearest import meant
from aegis_plan.errors import AegisError, UsageError
from aegis_plan.report.visible import dumps

if TYPE_CHECKING:
    from aegis_plan.plan.plan import Plan

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


def _complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from aegis_plan.cli.show import steps_of

    file = ctx.params.get("file")
    steps = steps_of(file, incomplete) if file else []
    return [*steps, *(code for code in sorted(sections()) if code.startswith(incomplete))]


@click.command("explain")
@click.argument("what", metavar="[CODE|STEP]", required=False, shell_complete=_complete)
@click.option(
    "--plan",
    "file",
    metavar="FILE",
    is_eager=True,
    type=click.Path(path_type=Path),
    help="The saved plan of the step; without it, the plan of the last run on this host.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document; for a step.")
@pass_session
def command(session: Session, what: str | None, file: Path | None, as_json: bool) -> None:
    """What an error code means and what to do, or why a step is in a plan, what it waits for and how long it takes.

    Without an argument: all codes.
    """
    known = sections()
    if what is None:
        for name in sorted(known):
            click.echo(name)
        return
    code = what.strip().removeprefix("error[").removesuffix("]")
    plan = None
    if file is not None:
        from aegis_plan.cli.show import read_plan

        plan, _ = read_plan(file)
    elif code not in known and "." in code:
        plan = _last_plan()
    if plan is not None:
        explain_step(session, plan, code, as_json)
        return
    if code not in known:
        raise UsageError(
            "code-unknown",
            "there is no such error code",
            f"'{code}' is not explained",
            meant(
                code, known, "'aegis explain' without a code lists them all; a step of a saved plan needs --plan FILE"
            ),
        )
    print_markdown(f"## {code}\n\n{known[code]}", session.console())


def explain_step(session: Session, plan: Plan, name: str, as_json: bool) -> None:
    """Explains a step of a plan. Raises UsageError `step-unknown`."""
    from aegis_plan.plan.explain import explain
    from aegis_plan.report.step import show_step
    from aegis_plan.run.what_if import unknown_step

    found = explain(plan, name)
    if found is None:
        raise unknown_step(name, (step.id for step in plan.steps))
    if as_json:
        click.echo(dumps({"format": 1, **found.as_data()}))
    else:
        show_step(found, session.console())


def _last_plan() -> Plan | None:
    from aegis_plan.cli.runfolder import find_run, plan_of, runs_folder

    try:
        return plan_of(find_run(runs_folder(), "last"))[0]
    except AegisError:
        return None
