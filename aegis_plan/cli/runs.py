"""`aegis runs [RUN]`: what was done before, from the journals of this host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aegis_plan.cli.completing import runs
from aegis_plan.cli.runfolder import all_runs, find_run, plan_of, runs_folder
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import AegisError
from aegis_plan.report.visible import dumps

if TYPE_CHECKING:
    from aegis_plan.plan.plan import Plan
    from aegis_plan.run.result import Result


@click.command("runs")
@click.argument("run", required=False, shell_complete=runs)
@click.option("--site-file", metavar="FILE", type=click.Path(path_type=Path), help="The site whose runs are meant.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@pass_session
def command(session: Session, run: str | None, site_file: Path | None, as_json: bool) -> None:
    """The runs of this host, newest last; RUN (or 'last') in full."""
    folder = runs_folder(site_file)
    if run is not None:
        _show(session, find_run(folder, run), as_json)
        return
    from aegis_plan.report.result import VERDICT_WORDS, headline

    rows: list[dict[str, str | None]] = []
    for name in all_runs(folder):
        try:
            result, plan = _result(folder / name)
        except AegisError as error:
            rows.append({"run": name, "verdict": "unreadable", "what": error.summary})
            continue
        rows.append(
            {
                "run": name,
                "verdict": result.verdict,
                "what": headline(plan),
                "begun": result.begun.isoformat() if result.begun else None,
                "ended": result.ended.isoformat() if result.ended else None,
            }
        )
    if as_json:
        click.echo(dumps({"format": 1, "runs": rows}, indent=2))
        return
    out = session.console()
    if not rows:
        out.print("There are no runs yet.")
    for row in rows:
        _, style = VERDICT_WORDS.get(str(row["verdict"]), ("", "bad"))
        out.print(f"{row['run']}  ", end="")
        out.print(f"{row['verdict']:<11}", style=style, end="")
        out.print(str(row["what"]), soft_wrap=True)


def _result(run: Path) -> tuple[Result, Plan]:
    from aegis_plan.clock import SystemClock
    from aegis_plan.journal.file import read
    from aegis_plan.journal.replay import replay
    from aegis_plan.run.result import conclude

    plan, _ = plan_of(run)
    return conclude(plan, replay(read(run)), SystemClock().now()), plan


def _show(session: Session, run: Path, as_json: bool) -> None:
    from aegis_plan.report.result import headline, show_result, show_steps

    result, plan = _result(run)
    if as_json:
        data = result.as_data()
        for name in ("rta", "rpa"):
            found = [one.seconds for one in result.achieved if one.objective == name and one.seconds is not None]
            data[name] = max(found, default=None)
        click.echo(dumps({"format": 1, **data}, indent=2))
        return
    out = session.console()
    out.print(f"Run {result.run}: {headline(plan)}\n", style="head", soft_wrap=True)
    show_steps(result, out)
    show_result(result, out)
    out.print(f"\nJournal: {run / 'journal.jsonl'}", style="quiet", soft_wrap=True)
