"""`aegis schema`: the JSON Schema of the documents, for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("schema")
@click.option("--write", is_flag=True, help="Write it to schemas/ of the checkout instead of printing it.")
def command(write: bool) -> None:
    """Print the JSON Schema of the documents."""
    from aegis_plan.documents import schema

    text = json.dumps(schema.schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    if not write:
        click.echo(text, nl=False)
        return
    target = Path(schema.FILE)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    click.echo(f"wrote {target}", err=True)
