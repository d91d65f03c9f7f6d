"""`aegis site`: what runs at a site. `work` serves a coordinator over a pipe, `run` is the daemon, `outcome` tells how
an attempt ended."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

_FILE = click.option(
    "--file", "path", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The site file."
)


@click.group("site")
def site() -> None:
    """What runs at a site: worker and daemon."""


@site.command("work")
@_FILE
def work(path: Path) -> None:
    """Serve a coordinator: JSON lines on standard input and output. Started by 'apply', not by people."""
    from aegis_plan.site.worker import work

    raise SystemExit(work(path))


@site.command("run")
@_FILE
def run(path: Path) -> None:
    """Keep running what the last applied plan declared for this site, until TERM."""
    from aegis_plan.site.daemon import run

    run(path)


@site.command("outcome")
@click.argument("key")
@_FILE
def outcome(key: str, path: Path) -> None:
    """Print how the attempt KEY ended, from the site's ledger."""
    from aegis_plan.clock import SystemClock
    from aegis_plan.dispatch.contract import Outcome
    from aegis_plan.site.runner import Runner
    from aegis_plan.site.secrets import Resolver
    from aegis_plan.site.sitefile import load

    file = load(path)
    runner = Runner(file, SystemClock(), Resolver(os.environ, file.path.parent))
    state = runner.state(key)
    runner.close()
    kind = "outcome" if isinstance(state, Outcome) else "progress"
    click.echo(json.dumps({kind: state.model_dump(mode="json")}))
