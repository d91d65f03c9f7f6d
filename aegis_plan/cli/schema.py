"""`aegis schema`: the JSON Schema of the documents, for editors; and every other file that is made from the code."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("schema")
@click.option(
    "--write", is_flag=True, help="Write all that is made from the code into a checkout, instead of printing."
)
def command(write: bool) -> None:
    """Print the JSON Schema of the documents."""
    if not write:
        from aegis_plan.documents import schema

        click.echo(schema.text(), nl=False)
        return
    from aegis_plan.cli.generated import files

    for name, make in files().items():
        target, text = Path(name), make()
        if target.exists() and target.read_text(encoding="utf-8") == text:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        click.echo(f"wrote {target}", err=True)
