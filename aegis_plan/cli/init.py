"""`aegis init`: writes a commented folder to begin with. Never overwrites a file."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_plan.cli.session import Session, pass_session
from aegis_plan.cli.starter import STARTER
from aegis_plan.errors import AegisError


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("."))
@click.option("--name", default="my-system", show_default=True, help="Name of the system.")
@pass_session
def command(session: Session, folder: Path, name: str) -> None:
    """Write plans/system.yaml below FOLDER, to be filled in."""
    target = folder / "plans" / "system.yaml"
    if target.exists():
        raise AegisError("file-exists", "a file is in the way", f"{target} exists", "choose another folder")
    text = STARTER.replace("NAME", name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise AegisError("file-not-written", "a file cannot be written", f"{target}: {error.strerror}") from None
    out = session.console()
    out.print(f"Wrote {target}. Next:\n")
    prefix = "" if folder == Path(".") else f"cd {folder}\n  "
    out.print(
        f"  {prefix}aegis keys new main --documents plans/sealing.yaml\n  aegis validate\n  aegis plan", soft_wrap=True
    )
