"""`aegis show FILE`: a saved plan, on any machine, without the documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import AegisError

if TYPE_CHECKING:
    from aegis_plan.plan.plan import Plan


def read_plan(path: Path) -> tuple[Plan, str]:
    """A saved plan and its digest. Raises AegisError `file-not-read`, and what `plan/planfile.py` raises."""
    return read_file(path)[:2]


def read_file(path: Path) -> tuple[Plan, str, bytes]:
    """The same with the bytes of the file."""
    from aegis_plan.plan.planfile import read

    try:
        data = path.read_bytes()
    except OSError as error:
        raise AegisError("file-not-read", "a file cannot be read", f"{path}: {error.strerror}") from None
    return (*read(data), data)


@click.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The plan as one JSON document.")
@pass_session
def command(session: Session, file: Path, as_json: bool) -> None:
    """Show the saved plan FILE."""
    from aegis_plan.report.plan import show_plan

    plan, digest = read_plan(file)
    if as_json:
        click.echo(
            json.dumps({"format": 1, "digest": digest, "plan": plan.model_dump(mode="json")}, ensure_ascii=False)
        )
        return
    out = session.console()
    show_plan(plan, out)
    out.print(f"\nDigest {digest}", style="quiet", soft_wrap=True)
