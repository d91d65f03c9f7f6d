"""`aegis check`: what servers and repositories lack for all that is declared, with the exact words that bring it about.
Read only, but with `--write`."""

from __future__ import annotations

import click

from aegis_plan.cli.completing import declared
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import UsageError
from aegis_plan.report.visible import dumps


@click.command("check")
@click.argument("names", metavar="[STORE|REPOSITORY]...", nargs=-1, shell_complete=declared("stores", "repositories"))
@click.option("--write", is_flag=True, help="Also write one small object into each repository, and remove it.")
@click.option("--all", "every", is_flag=True, help="Show also, line by line, what is there.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@pass_session
def command(session: Session, names: tuple[str, ...], write: bool, every: bool, as_json: bool) -> int:
    """Say what is missing on servers and in repositories for all that the documents declare.

    Role, grants, lines of pg_hba.conf, settings (and which need a restart), accounts, folders, programs, permissions
    of buckets: each with the exact words. Without names: everything, and the keys of the sites.
    Exit code 3 when something declared cannot work, 1 when something could not be verified.
    """
    from aegis_plan.cli.wire import load_documents, world
    from aegis_plan.observe.check import check
    from aegis_plan.report.requirements import as_data, show
    from aegis_plan.requirement import exit_code

    loaded = load_documents()
    documents = loaded.documents
    stores = [name for name in names if name in documents.stores] if names else list(documents.stores)
    repositories = [name for name in names if name in documents.repositories] if names else list(documents.repositories)
    for name in names:
        if name not in documents.stores and name not in documents.repositories:
            known = ", ".join([*documents.stores, *documents.repositories]) or "none"
            raise UsageError(
                "store-unknown", "the documents have no such store", f"there is no store or repository '{name}'",
                f"declared: {known}",
            )  # fmt: skip
    sites: dict[str, dict[str, str]] = {} if names else {site: {} for site in documents.sites}
    with world(documents, loaded.digest) as seen:
        found = check(
            documents, seen.dispatcher, seen.clock, stores=stores, repositories=repositories, sites=sites, write=write
        )
    if as_json:
        click.echo(dumps(as_data(found), indent=2))
    else:
        out = session.console()
        if not found:
            out.print("The documents declare no store and no repository.")
        show(found, out, every=every)
    return exit_code(found)
