"""`aegis help [TOPIC]`: the manual, offline."""

from __future__ import annotations

import click

from aegis_plan.cli.manual import pages, print_markdown
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.documents.nearest import meant
from aegis_plan.errors import UsageError


def _complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [topic for topic in pages() if topic.startswith(incomplete)]


@click.command("help")
@click.argument("topic", required=False, shell_complete=_complete)
@click.pass_context
@pass_session
def command(session: Session, ctx: click.Context, topic: str | None) -> None:
    """A page of the manual, or the help of a command. Without TOPIC: what there is."""
    known = pages()
    root = ctx.find_root()
    if topic is None:
        out = session.console()
        out.print("Pages of the manual, each by 'aegis help TOPIC':\n")
        for name, page in known.items():
            title = page.read_text(encoding="utf-8").lstrip().splitlines()[0].lstrip("# ")
            out.print(f"  {name:<16} {title}", soft_wrap=True)
        out.print("\n'aegis --help' lists the commands, 'aegis explain CODE' explains an error.")
        return
    if topic in known:
        print_markdown(known[topic].read_text(encoding="utf-8"), session.console())
        return
    group = root.command
    assert isinstance(group, click.Group)
    found = group.get_command(root, topic)
    if found is not None:
        with click.Context(found, info_name=topic, parent=root) as inner:
            click.echo(found.get_help(inner))
        return
    raise UsageError(
        "topic-unknown",
        "the manual has no such page",
        f"there is no page '{topic}'",
        meant(topic, [*known, *group.list_commands(root)], "'aegis help' lists all pages"),
    )
