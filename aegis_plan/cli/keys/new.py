"""`aegis keys new SITE`: makes the keys of a site, or a new signing key in the place of its present one."""

from __future__ import annotations

import base64
from pathlib import Path

import click

from aegis_plan.cli.completing import declared
from aegis_plan.cli.keys.files import add_voucher, change_sealing, change_site_file, dated, fresh, private, sealing_text
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import AegisError, UsageError


@click.command("new")
@click.argument("site", shell_complete=declared("sites"))
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=Path("site"), show_default=True,
              help="Where site file and keys go.")  # fmt: skip
@click.option("--recovery", metavar="RECIPIENT", default=None,
              help="Public half of a recovery key that exists; without it one is made.")  # fmt: skip
@click.option("--documents", "target", type=click.Path(path_type=Path), default=None,
              help="Write the section 'sealing' to this new file instead of printing it.")  # fmt: skip
@click.option("--signing", is_flag=True,
              help="Only a new signing key for SITE; what the present one signed is believed still.")  # fmt: skip
@pass_session
def command(
    session: Session, site: str, folder: Path, recovery: str | None, target: Path | None, signing: bool
) -> None:
    """Make signing key, age identity and recovery identity for SITE, with its site file.

    With --signing an existing site gets a new signing key: site file and documents are changed, and what the old one
    signed is believed still.
    """
    if signing:
        replace_signing_key(session, site)
        return
    from pydantic import TypeAdapter, ValidationError

    from aegis_plan.documents.scalars import Name
    from aegis_plan.sealing.keys import check_recipient, new_identity, new_signing_key

    try:
        TypeAdapter(Name).validate_python(site)
    except ValidationError as error:
        raise UsageError("name-invalid", "not a name", f"'{site}': {error.errors()[0]['msg']}") from None
    signing_key, signer = new_signing_key()
    secret, recipient = new_identity()
    keys = folder / "keys"
    written = [keys / f"{site}.sign", keys / f"{site}.age"]
    if recovery is not None:
        check_recipient(recovery)
    else:
        recovery_secret, recovery = new_identity()
        written.append(keys / "recovery.age")
    site_file = folder / f"{site}.yaml"
    fresh(*written, site_file, *([target] if target else []))
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    private(written[0], base64.b64encode(signing_key).decode())
    private(written[1], secret)
    if len(written) > 2:
        private(written[2], recovery_secret)
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


def replace_signing_key(session: Session, site: str) -> None:
    """A new signing key for a site of this host; the present one becomes a former one, also where this host never had
    it: a machine that stands in for a site that is lost."""
    from aegis_plan.cli.planning import require_known
    from aegis_plan.cli.wire import load_documents, local_sites, open_site
    from aegis_plan.sealing.keys import new_signing_key
    from aegis_plan.sealing.vouchers import endorse, vouch

    loaded = load_documents()
    require_known("site", site, loaded.documents.sites)
    path = local_sites(loaded.documents).get(site)
    sealing = loaded.documents.sealing
    if path is None or sealing is None or site not in sealing.signers:
        raise UsageError(
            "site-not-here",
            "this host has no signing key of that site",
            f"{site} is not a site of this host that sealing.signers lists",
            "run it on the host of the site; without one, 'aegis keys new SITE' makes all keys",
        )
    here = open_site(path)
    old = here.public().signer
    if here.file.signing_key and old != sealing.signers[site]:
        raise AegisError(
            "signer-not-ours",
            "the signing key of this host is not the one that the documents list",
            f"{site}: the site file has {old}, sealing.signers lists {sealing.signers[site]}",
            "correct one of the two first",
        )
    old = sealing.signers[site]
    key, signer = new_signing_key()
    place = dated(here.file.path.parent / "keys", site, ".sign")
    fresh(place)
    target, before, text = sealing_text("signers", site)
    text.replace(["sealing", "signers", site], old, f'"{signer}"')
    if text.values("sealing", "former_signers", site):
        text.add(["sealing", "former_signers", site], f'"{old}"')
    elif text.has("sealing", "former_signers"):
        text.put(["sealing", "former_signers"], site, f'["{old}"]')
    else:
        text.put(["sealing"], "former_signers", f'{{{site}: ["{old}"]}}', before="signers")
    if here.keys.signing is not None:
        # A machine that has nothing and knows the old one believes the new one by it.
        add_voucher(text, endorse(here.keys.signing, signer))
    for identity in here.keys.identities:
        add_voucher(text, vouch(identity, signer))
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    private(place, base64.b64encode(key).decode())
    reference = "${file:" + f"{place.parent.name}/{place.name}" + "}"
    change_site_file(here.file, signing=reference)
    change_sealing(target, before, text)
    out = session.console()
    out.print(f"{site} signs with a new key from now on: {place}", soft_wrap=True)
    out.print(f"Changed: {here.file.path} and {target}. What the old key signed is believed still.", soft_wrap=True)
    if here.keys.signing is None:
        out.print(
            f"The old key was not here. Only who has a private key of this site file believes the new one by itself; "
            f"write it on the recovery sheet: {signer}",
            soft_wrap=True,
        )
    out.print("'aegis publish' puts the changed documents into the repositories, signed with the new key.")
    out.print(
        "Bring the documents to every host that plans or restores, and apply a plan again where a log is streamed."
    )
    out.print(
        "If the old key was stolen, take it out of 'former_signers': what it signed, the old backups too, is refused "
        "then."
    )
