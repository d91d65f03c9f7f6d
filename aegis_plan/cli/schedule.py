"""`aegis schedule`: what is due when, the daemon that sees to it, timers of other programs that do, and what was."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_plan.cli.completing import declared
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.report.visible import dumps


@click.group("schedule")
def command() -> None:
    """When backups are due, and who sees to it."""


@command.command("list")
@click.argument("store", required=False, shell_complete=declared("stores"))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@pass_session
def list_(session: Session, store: str | None, as_json: bool) -> None:
    """What is due when, what was last done, and what was missed, as the catalog says."""
    from aegis_plan.cli.planning import require_known
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.report.schedule import list_data, show_list
    from aegis_plan.schedule.job import standing

    loaded = load_documents()
    require_known("store", store, loaded.documents.stores)
    names = [store] if store is not None else list(loaded.documents.stores)
    with world(loaded.documents, loaded.digest) as seen:
        now = seen.clock.now()
        found = standing(loaded.documents, seen.shelves(names), now, names)
    streamed = [
        name
        for name in names
        if (backup := loaded.documents.stores[name].backup) is not None and backup.log is not None and backup.log.stream
    ]
    if as_json:
        click.echo(dumps(list_data(loaded.documents, found, now, streamed), indent=2))
    else:
        show_list(loaded.documents, found, now, streamed, session.console())


@command.command("history")
@click.argument("store", required=False, shell_complete=declared("stores"))
@click.option("--days", type=click.IntRange(1, 4000), default=7, show_default=True, help="So many days back.")
@click.option("--failed", is_flag=True, help="Only what failed, was late or missed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@pass_session
def history(session: Session, store: str | None, days: int, failed: bool, as_json: bool) -> int:
    """What was due, when it was done and by which run, and what was missed and why.

    Read from the signed records in the repositories. Exit code 1 where some of them cannot be believed.
    """
    from aegis_plan.cli.due import FOLDER
    from aegis_plan.cli.planning import require_known
    from aegis_plan.cli.wire import load_documents, site_here, world
    from aegis_plan.report.schedule import history_data, show_history
    from aegis_plan.repositories import schedule_history

    loaded = load_documents()
    documents = loaded.documents
    require_known("store", store, documents.stores)
    with world(documents, loaded.digest) as seen:
        here = site_here(documents)
        signers = documents.sealing.believed if documents.sealing else {}
        wanted = schedule_history.days_back(seen.clock.now(), days)
        spool = here.folder / FOLDER / "records" if here is not None else None
        found = schedule_history.load(documents.system.name, signers, seen.repositories, wanted, spool)
    found.records = [
        one
        for one in found.records
        if (store is None or one.store == store) and (not failed or not one.well or one.missed)
    ]
    if as_json:
        click.echo(dumps(history_data(found), indent=2))
    else:
        show_history(documents, found, session.console())
    return 1 if found.wrong else 0


@command.command("run")
@click.option(
    "--site", metavar="NAME", shell_complete=declared("sites"), help="Whose scheduler it is; default this host's."
)
@click.option("--working-copy", is_flag=True, help="Use the documents here, not the published ones.")
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line on standard output.")
@pass_session
def run(session: Session, site: str | None, working_copy: bool, as_json: bool) -> int:
    """Wait for each moment that is due, plan what is due and apply it, until TERM.

    Several may run, at several sites: one leads, the others stand by and take over when it is gone.
    """
    from aegis_plan.cli.scheduling import serve

    return serve(session, site, working_copy, as_json)


@command.command("export")
@click.option(
    "--format", "form", type=click.Choice(("systemd", "cron", "kubernetes")), required=True, help="For which program."
)
@click.option("--directory", metavar="DIR", type=click.Path(path_type=Path),
              help="Write files there instead of printing them.")  # fmt: skip
@click.option("--daemon", is_flag=True, help="Units of the daemons instead of timers (systemd only).")
@click.option("--user", metavar="NAME", default="aegis", show_default=True, help="The account that it runs as.")
@click.option("--image", metavar="IMAGE", default="aegis-plan:latest", show_default=True,
              help="The container image (kubernetes only).")  # fmt: skip
@pass_session
def export(session: Session, form: str, directory: Path | None, daemon: bool, user: str, image: str) -> None:
    """Print timers of systemd, a crontab, or CronJobs of Kubernetes that call 'aegis backup --due'.

    Use them instead of 'aegis schedule run', where something else starts programs on time already.
    """
    import os
    import shutil
    import sys

    from aegis_plan.cli.wire import load_documents, local_sites
    from aegis_plan.errors import UsageError
    from aegis_plan.schedule.export import Place, cron, daemons, kubernetes, systemd

    loaded = load_documents()
    if daemon and form != "systemd":
        raise UsageError(
            "options-contradict",
            "these options make no sense together",
            f"--daemon makes units of systemd, and the format is {form}",
            "leave one of them out",
        )
    sites = {name: str(path.absolute()) for name, path in local_sites(loaded.documents).items()}
    beside = os.path.join(os.path.dirname(sys.executable), "aegis")
    program = beside if os.path.exists(beside) else shutil.which("aegis") or "/usr/local/bin/aegis"
    place = Place(program=program, folder=os.getcwd(), user=user, image=image, sites=sites)
    if daemon:
        files = daemons(loaded.documents, place)
    else:
        files = {"systemd": systemd, "cron": cron, "kubernetes": kubernetes}[form](loaded.documents, place)
    if directory is None:
        for name, text in files.items():
            if len(files) > 1:
                click.echo(f"# {name}")
            click.echo(text)
        return
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
        click.echo(str(directory / name))
