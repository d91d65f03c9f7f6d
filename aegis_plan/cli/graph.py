"""`aegis graph`: draws the documents, a scenario or a saved plan. It looks at nothing but files and resolves no
secret."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aegis_plan.cli.completing import declared
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import UsageError

if TYPE_CHECKING:
    from aegis_plan.report.drawing import Drawing

TYPES = ("services", "sites", "scenario", "plan")
FORMATS = ("text", "dot", "mermaid", "json", "svg")


@click.command("graph")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--type", "kind", type=click.Choice(TYPES), help="What to draw; default: services and stores.")
@click.option(
    "--scenario", metavar="NAME", shell_complete=declared("scenarios"), help="What this scenario sets in motion."
)
@click.option("--plan", "plan_file", metavar="FILE", type=click.Path(path_type=Path), help="A saved plan.")
@click.option(
    "--target",
    metavar="NAME",
    shell_complete=declared("services", "stores", "sites", "repositories"),
    help="Only what it needs and what hangs on it.",
)
@click.option("--draw-cycles", is_flag=True, help="Draw services that need each other in a circle, and mark it.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@pass_session
def command(
    session: Session,
    path: Path | None,
    kind: str | None,
    scenario: str | None,
    plan_file: Path | None,
    target: str | None,
    draw_cycles: bool,
    form: str,
    as_json: bool,
) -> None:
    """Draw the documents below PATH (default: plans/, or the current folder), a scenario, or a saved plan.

    It works offline and needs no secret. For a picture: aegis graph --format svg > system.svg
    """
    drawing = _draw(path, kind, scenario, plan_file, draw_cycles)
    if target is not None:
        drawing = _around(drawing, target)
    if as_json or form == "json":
        from aegis_plan.report.graph_json import graph_json

        click.echo(graph_json(drawing))
    elif form == "dot":
        from aegis_plan.report.graph_dot import graph_dot

        click.echo(graph_dot(drawing))
    elif form == "mermaid":
        from aegis_plan.report.graph_mermaid import graph_mermaid

        click.echo(graph_mermaid(drawing))
    elif form == "svg":
        from aegis_plan.report.graph_svg import graph_svg

        click.echo(graph_svg(drawing), nl=False)
    else:
        from aegis_plan.report.graph_text import show_graph

        show_graph(drawing, session.console())


def _draw(
    path: Path | None, kind: str | None, scenario: str | None, plan_file: Path | None, draw_cycles: bool
) -> Drawing:
    named = "plan" if plan_file is not None else "scenario" if scenario is not None else None
    if (plan_file is not None and scenario is not None) or (kind is not None and named not in (None, kind)):
        raise UsageError(
            "graph-of-what",
            "one drawing shows one thing",
            "--type, --scenario and --plan ask for different drawings",
            "give one of them",
        )
    kind = named or kind or "services"
    if kind == "plan":
        if plan_file is None or path is not None:
            raise UsageError(
                "graph-of-what",
                "one drawing shows one thing",
                "a plan is drawn from its own file, which holds its documents",
                "aegis graph --plan FILE",
            )
        from aegis_plan.cli.show import read_plan
        from aegis_plan.report.graph_plan import draw_plan

        return draw_plan(read_plan(plan_file)[0])
    from aegis_plan.cli.wire import load_documents

    forgiven = frozenset({"dependency-cycle"}) if draw_cycles else frozenset[str]()
    documents = load_documents(path, forgiven=forgiven).documents
    if kind == "scenario":
        from aegis_plan.report.graph_plan import draw_scenario

        if scenario is None and len(documents.scenarios) != 1:
            names = ", ".join(sorted(documents.scenarios)) or "none"
            raise UsageError(
                "graph-of-what", "one drawing shows one thing", f"there are these scenarios: {names}", "--scenario NAME"
            )
        return draw_scenario(documents, scenario or next(iter(documents.scenarios)))
    from aegis_plan.report.graph_system import draw_services, draw_sites

    return draw_sites(documents) if kind == "sites" else draw_services(documents)


def _around(whole: Drawing, name: str) -> Drawing:
    from aegis_plan.documents.nearest import meant
    from aegis_plan.report.drawing import around

    part = around(whole, name)
    if part is None:
        raise UsageError(
            "target-unknown",
            "the drawing shows no such thing",
            f"nothing in it is called '{name}'",
            meant(name, [node.name for node in whole.nodes], "see the drawing without --target"),
        )
    return part
