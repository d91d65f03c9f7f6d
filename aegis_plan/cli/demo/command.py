"""`aegis demo`: what can be asked of it. The story itself is in `story.py`."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import UsageError


@click.command("demo")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default=None, help="Where to set it up; default ./demo."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask before the recovery.")
@click.option("--quick", is_flag=True, help="PostgreSQL and Milvus alone, with backups in folders.")
@click.option("--keep-running", is_flag=True, help="Leave the servers running at the end.")
@pass_session
def command(session: Session, folder: Path | None, yes: bool, quick: bool, keep_running: bool) -> int:
    """A disaster and a recovery on this machine, in two minutes.

    Sets up PostgreSQL with data that keeps changing, Milvus and, where Java can be had, Neo4j; backs them up to a
    folder, to S3 and to Azure servers of its own; destroys them, plans and applies the recovery, and compares every
    row, node and vector. All in one folder, which stays to be looked at.
    """
    if not yes and not session.interactive:
        raise UsageError(
            "approval-missing",
            "nobody can be asked here",
            "the demo asks before it recovers, and there is no terminal",
            "add -y",
        )
    from aegis_plan.cli.demo.story import tell

    return tell(session, folder, yes=yes, quick=quick, keep_running=keep_running)
