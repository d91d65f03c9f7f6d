"""`aegis keys`: makes the keys of a site and tells which ones the documents and this host know. Never prints a
private key."""

from __future__ import annotations

import os
from pathlib import Path

import click

from aegis_plan.cli.completing import declared
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import AegisError, UsageError


@click.group("keys")
def command() -> None:
    """Make and list the keys of a site."""


@command.command("new")
@click.argument("site", shell_complete=declared("sites"))
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=Path("site"), show_default=True,
              help="Where site file and keys go.")  # fmt: skip
@click.option("--recovery", metavar="RECIPIENT", default=None,
              help="Public half of a recovery key that exists; without it one is made.")  # fmt: skip
@click.option("--documents", "target", type=click.Path(path_type=Path), default=None,
              help="Write the section 'sealing' to this new file instead of printing it.")  # fmt: skip
@pass_session
def new(session: Session, site: str, folder: Path, recovery: str | None, target: Path | None) -> None:
    """Make signing key, age identity and recovery identity for SITE, with its site file."""
    from pydantic import TypeAdapter, ValidationError

    from aegis_plan.documents.scalars import Name
    from aegis_plan.sealing.keys import new_identity, new_signing_key

    try:
        TypeAdapter(Name).validate_python(site)
    except ValidationError as error:
        raise UsageError("name-invalid", "not a name", f"'{site}': {error.errors()[0]['msg']}") from None
    signing, signer = new_signing_key()
    secret, recipient = new_identity()
    keys = folder / "keys"
    written = [keys / f"{site}.sign", keys / f"{site}.age"]
    if recovery is None:
        recovery_secret, recovery = new_identity()
        written.append(keys / "recovery.age")
    site_file = folder / f"{site}.yaml"
    for path in (*written, site_file, *([target] if target else [])):
        if path.exists():
            raise AegisError(
                "keys-exist",
                "keys are never overwritten",
                f"{path} exists",
                "choose another --dir; data that was sealed to a key can be read with that key only",
            )
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    import base64

    _private(written[0], base64.b64encode(signing).decode())
    _private(written[1], secret)
    if len(written) > 2:
        _private(written[2], recovery_secret)
    site_file.write_text(
        f"aegis-site: v1\nsite: {site}\nfolder: {site}\n"
        f'signing_key: "${{file:keys/{site}.sign}}"\nidentities: ["${{file:keys/{site}.age}}"]\n',
        encoding="utf-8",
    )
    from aegis_plan.sealing.vouchers import vouch

    vouchers = [vouch(one, signer) for one in (secret, *([recovery_secret] if len(written) > 2 else []))]
    sealing = (
        "sealing:\n"
        f"  recipients: [{recipient}]\n"
        f"  recovery_recipient: {recovery}\n"
        f"  signers: {{{site}: {signer}}}\n"
        f"  host_recipients: {{{site}: {recipient}}}\n"
        "  vouchers:\n" + "".join(f"    - {voucher}\n" for voucher in vouchers)
    )
    out = session.console()
    out.print(f"Made the keys of {site}:")
    for path in (*written, site_file):
        out.print(f"  {path}", soft_wrap=True)
    if len(written) > 2:
        out.print(
            f"\nTake {written[2]} off this machine and keep it safe: it opens every backup when all else is lost."
        )
    if target:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("aegis: v1\n\n" + sealing, encoding="utf-8")
        out.print(f"\nThe public halves are in {target}.")
    else:
        out.print("\nAdd to the documents:\n")
        out.print(sealing, soft_wrap=True)


def _private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")


@command.command("list")
@pass_session
def list_(session: Session) -> None:
    """Which keys the documents name, and which of their private halves this host has."""
    from aegis_plan.cli.wire import load_documents, site_here

    loaded = load_documents()
    sealing = loaded.documents.sealing
    out = session.console()
    if sealing is None:
        out.print("The documents have no section 'sealing'. 'aegis keys new SITE' makes keys and prints it.")
        return
    here = site_here(loaded.documents)
    public = here.public() if here else None
    out.print("signers")
    for name, key in sealing.signers.items():
        mark = "  private half here" if public and key == public.signer else ""
        out.print(f"  {name:<16} {key}{mark}", soft_wrap=True)
    for name, keys in sealing.former_signers.items():
        for key in keys:
            out.print(f"  {name + ' (former)':<16} {key}", soft_wrap=True)
    out.print("recipients")
    for key in sealing.recipients:
        mark = "  private half here" if public and key in public.recipients else ""
        out.print(f"  {'':<16} {key}{mark}", soft_wrap=True)
    mark = (
        "  PRIVATE HALF HERE: take it off this host"
        if public and sealing.recovery_recipient in public.recipients
        else ""
    )
    out.print(f"  {'recovery':<16} {sealing.recovery_recipient}{mark}", soft_wrap=True)
    for name, key in sealing.host_recipients.items():
        out.print(f"  {name + ' (host)':<16} {key}", soft_wrap=True)
