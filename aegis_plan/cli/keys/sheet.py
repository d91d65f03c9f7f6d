"""`aegis keys sheet`: prints what a person needs who has nothing but an empty machine and the recovery key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import AegisError, UsageError

if TYPE_CHECKING:
    from aegis_plan.documents.model import AzureRepository, Documents, Repository, S3Repository
    from aegis_plan.report.sheet import Place, Sheet


@click.command("sheet")
@click.option("--html", "target", type=click.Path(path_type=Path), help="Write a page to print to this new file.")
@click.option("--kept", metavar="TEXT", default="", help="Where the recovery key is, such as 'safe in Busan'.")
@click.option("--print-recovery-key", "secret", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              metavar="FILE", help="Print the recovery key of this file too.")  # fmt: skip
@pass_session
def command(session: Session, target: Path | None, kept: str, secret: Path | None) -> None:
    """Print the recovery sheet: repositories, keys, and what to type on an empty machine. Print it and lock it away.

    No secret stands on it unless --print-recovery-key asks for one.
    """
    from aegis_plan.cli.keys.files import fresh
    from aegis_plan.cli.wire import load_documents
    from aegis_plan.report.sheet import as_html, as_text

    documents = load_documents().documents
    sheet = sheet_of(documents, kept, _secret(documents, secret) if secret is not None else "")
    if target is None:
        click.echo(as_text(sheet), nl=False)
        return
    fresh(target)
    if sheet.secret:
        from aegis_plan.cli.keys.files import private

        private(target, as_html(sheet))
    else:
        target.write_text(as_html(sheet), encoding="utf-8")
    session.console().print(f"Wrote {target}. Print it, and try it once.", soft_wrap=True)


def _secret(documents: Documents, path: Path) -> str:
    """The recovery key, once it was seen to be the one of the documents."""
    from aegis_plan.sealing.keys import public_identity
    from aegis_plan.site.sitefile import identities_in

    found = identities_in(path.read_text(encoding="utf-8"), str(path))
    sealing = documents.sealing
    for one in found:
        if sealing is not None and public_identity(one) == sealing.recovery_recipient:
            return one
    raise AegisError(
        "recovery-key-other",
        "this is not the recovery key of the documents",
        f"{path} holds a key of another recipient",
        "give the private half of sealing.recovery_recipient",
    )


def sheet_of(documents: Documents, kept: str, secret: str) -> Sheet:
    """All that stands on the sheet. Raises UsageError `sealing-missing`."""
    from aegis_plan.cli.version import version
    from aegis_plan.clock import SystemClock
    from aegis_plan.documents.recipients import names_of, short_id
    from aegis_plan.report.sheet import Sheet

    sealing = documents.sealing
    if sealing is None:
        raise UsageError(
            "sealing-missing",
            "the documents do not say to whom backups are sealed",
            "there is no section 'sealing'",
            "'aegis keys new SITE' makes keys and prints the section",
        )
    places = tuple(_place(name, one) for name, one in documents.repositories.items())
    used = [name for store in documents.stores.values() if store.backup for name in store.backup.repositories]
    # Where most backups are, and what stands elsewhere than in a folder of a host that may be gone.
    ranked = sorted(places, key=lambda one: (documents.repositories[one.name].kind == "local", -used.count(one.name)))
    first = next((one for one in ranked if one.name in used), next(iter(ranked), None))
    recovery = sealing.recovery_recipient
    signers = [f"{site} {key}" for site, key in sealing.signers.items()]
    signers += [f"{site} (former) {key}" for site, keys in sealing.former_signers.items() for key in keys]
    return Sheet(
        system=documents.system.name,
        made=SystemClock().now(),
        tool=f"aegis {version()}",
        places=places,
        recovery=f"{recovery}  ({short_id(recovery)})",
        kept=kept or ", ".join(name for name, held in sealing.holders.items() if held == recovery),
        readers=tuple(f"{names_of([one], sealing)}  {one}" for one in sealing.recipients if one != recovery),
        signers=tuple(signers),
        url=first.address if first is not None else "URL",
        stores=tuple(name for name, store in documents.stores.items() if store.backup is not None),
        secret=secret,
    )


def _place(name: str, declared: Repository) -> Place:
    """Address and access; references are named, never resolved."""
    from aegis_plan.report.sheet import Place

    if declared.kind == "local":
        return Place(name, f"file://{declared.path}", f"a folder on the host of site {declared.site}")
    if declared.kind == "s3":
        options = [f"endpoint={declared.endpoint}"] * bool(declared.endpoint)
        options += [f"region={declared.region}"] * bool(declared.region)
        options += ["path_style=true"] * bool(declared.path_style)
        address = f"s3://{declared.bucket}/{declared.prefix.strip('/')}".rstrip("/")
        return Place(name, _with(address, options), _s3_access(declared))
    address = f"azure://{declared.account}/{declared.container}/{declared.prefix.strip('/')}".rstrip("/")
    options = [f"endpoint={declared.endpoint}"] * bool(declared.endpoint)
    return Place(name, _with(address, options), _azure_access(declared))


def _with(address: str, options: list[str]) -> str:
    return f"{address}?{'&'.join(options)}" if options else address


def _s3_access(declared: S3Repository) -> str:
    """What `--from` reads, and not the names that the documents use: those are nothing to a bare machine."""
    keys = declared.read or declared
    pairs = (("AWS_ACCESS_KEY_ID", keys.access_key), ("AWS_SECRET_ACCESS_KEY", keys.secret_key))
    told = [f"{name}{_known_as(value)}" for name, value in pairs]
    if any(value for _, value in pairs):
        return f"access: set {' and '.join(told)}"
    return "access: the machine's own identity, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def _azure_access(declared: AzureRepository) -> str:
    keys, name = declared.read or declared, "AZURE_STORAGE_CONNECTION_STRING"
    if keys.connection:
        return f"access: set {name}{_known_as(keys.connection)}"
    if keys.sas or keys.account_key:
        what = "SAS" if keys.sas else "account key"
        return f"access: set {name} to one with the {what}{_known_as(keys.sas or keys.account_key)}"
    return f"access: the machine's own identity, or {name}"


def _known_as(value: str) -> str:
    from aegis_plan.documents.secrets import references

    named = ", ".join(str(one) for one in references(value))
    return f" ({named} of the documents)" if named else ""
