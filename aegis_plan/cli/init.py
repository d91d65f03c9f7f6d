"""`aegis init`: writes documents to begin with, empty ones or those of a server that runs. Never overwrites a file."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_plan.cli.session import Session, pass_session
from aegis_plan.cli.starter import STARTER
from aegis_plan.errors import AegisError


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("."))
@click.option("--name", default="my-system", show_default=True, help="Name of the system.")
@click.option("--from", "dsn", metavar="DSN", help="Look at this running PostgreSQL and write documents of it.")
@click.option("--store", metavar="NAME", help="Name of the store, with --from; default after its database.")
@click.option(
    "--site", metavar="NAME", default="main", show_default=True, help="Name of this host's site, with --from."
)
@click.option("--role", metavar="ROLE", default="aegis", show_default=True,
              help="Role that backups will use, with --from; it need not exist yet.")  # fmt: skip
@pass_session
@click.pass_context
def command(
    ctx: click.Context,
    session: Session,
    folder: Path,
    name: str,
    dsn: str | None,
    store: str | None,
    site: str,
    role: str,
) -> None:
    """Write documents below FOLDER/plans, with a schema for editors in FOLDER/schemas.

    With --from the server is looked at, and nothing is changed there: DSN is a libpq string, a postgresql:// address or
    service=NAME, best of a superuser. Its password is written nowhere. Keys of the site are made where there are none.
    """
    if dsn is None:
        _write(folder, {"system.yaml": STARTER.replace("NAME", name)})
        _next(session, folder, "main", [f"Wrote {folder / 'plans' / 'system.yaml'}."], "aegis plan", {})
        return
    from aegis_plan.cli.adopted import documents, slug
    from aegis_plan.stores.postgresql.adopt import adopt

    _checked("--name", name)
    _checked("--site", site)
    found = adopt(dsn)
    plain = found.database not in ("postgres", "template1")
    named = store or (f"{slug(found.database)}-db" if plain and slug(found.database) else "main-db")
    _checked("--store", named)
    written = documents(found, name, named, site, role)
    files = _write(folder, written.files)
    keys = folder / "site"
    with_keys = not keys.exists() and not (folder / "plans" / "sealing.yaml").exists()
    kind = "a replica" if found.replica else "the primary"
    said = [f"Looked at {found.said} at {found.where}, {kind}{'' if found.here else ', not on this host'}."]
    said += [f"Wrote {path}" for path in files]
    todo = sum(text.count("TODO") for text in written.files.values())
    if todo:
        said.append("Some values could not be seen: look for TODO; 'aegis validate' names those that are left.")
    if with_keys:
        from aegis_plan.cli.keys.new import command as new

        for line in said:
            session.console().print(line, soft_wrap=True)
        said = [""]
        ctx.invoke(new, site=site, folder=keys, recovery=None, signing=False, target=folder / "plans" / "sealing.yaml")
    _next(session, folder, "" if with_keys else site, said, "aegis check", written.variables)


def _checked(option: str, name: str) -> None:
    from pydantic import TypeAdapter, ValidationError

    from aegis_plan.documents.scalars import Name
    from aegis_plan.errors import UsageError

    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError("name-invalid", "not a name", f"{option} '{name}': {message}") from None


def _write(folder: Path, files: dict[str, str]) -> list[Path]:
    """Writes all files or none. Raises AegisError `file-exists`, `file-not-written`."""
    from aegis_plan.documents import schema

    targets = {folder / "plans" / name: text for name, text in files.items()}
    for target in targets:
        if target.exists():
            raise AegisError("file-exists", "a file is in the way", f"{target} exists", "choose another folder")
    scheme = folder / schema.FILE
    if not scheme.exists():
        targets[scheme] = schema.text()
    done: list[Path] = []
    try:
        for target, text in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("x", encoding="utf-8") as file:
                done.append(target)
                file.write(text)
    except OSError as error:
        for target in done:
            target.unlink(missing_ok=True)
        raise AegisError("file-not-written", "a file cannot be written", f"{target}: {error.strerror}") from None
    return done


def _next(session: Session, folder: Path, site: str, said: list[str], last: str, variables: dict[str, str]) -> None:
    import shlex

    out = session.console()
    for line in said:
        out.print(line, soft_wrap=True)
    out.print("Next:\n")
    if folder != Path("."):
        out.print(f"  cd {shlex.quote(str(folder))}", soft_wrap=True)
    for variable, value in variables.items():
        out.print(f'  export {variable}="{value} password=..."', soft_wrap=True)
    if site:
        out.print(f"  aegis keys new {site} --documents plans/sealing.yaml", soft_wrap=True)
    out.print(f"  aegis validate\n  {last}", soft_wrap=True)
    if variables:
        out.print(
            "\nThe variable has to be set where the site's programs run; a password file (~/.pgpass) instead of "
            "password=... does as well. 'aegis check' then says what the server lacks, word by word."
        )
