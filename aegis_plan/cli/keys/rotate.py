"""`aegis keys rotate`: changes who can open backups, in the documents and then in every repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aegis_plan.cli.keys.files import add_voucher, change_sealing, change_site_file, dated, private, sealing_text
from aegis_plan.cli.keys.rewrap import can_act, identity_option, rewrap
from aegis_plan.cli.options import acting_options
from aegis_plan.cli.session import Session, pass_session
from aegis_plan.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from aegis_plan.cli.wire import Here
    from aegis_plan.documents.edit import Text
    from aegis_plan.documents.model import Sealing


@click.command("rotate")
@click.option("--add", "added", metavar="RECIPIENT", multiple=True, help="Let this age recipient open all backups too.")
@click.option("--remove", "removed", metavar="WHO", multiple=True,
              help="Take away this recipient: the whole of it, its short id, or the name of its holder.")  # fmt: skip
@click.option("--recovery", metavar="RECIPIENT", help="Another offline recovery recipient in the place of the present.")
@identity_option
@acting_options
@pass_session
def command(
    session: Session,
    /,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    recovery: str | None,
    identity: Path | None,
    **acting: Any,
) -> int:
    """Give this host a new key in the place of its present one, or add and remove keys of others.

    The documents are changed first, comments stay; then all data keys are wrapped anew by a plan. No data is written.
    Where that stops half-way, 'aegis keys rewrap' or 'aegis plan' goes on.
    """
    from aegis_plan.cli.wire import load_documents, site_here
    from aegis_plan.sealing.keys import check_recipient

    for recipient in (*added, *([recovery] if recovery else ())):
        check_recipient(recipient)
    loaded = load_documents()
    sealing = loaded.documents.sealing
    if sealing is None:
        raise UsageError(
            "sealing-missing",
            "the documents do not say to whom backups are sealed",
            "there is no section 'sealing'",
            "'aegis keys new SITE' makes keys and prints the section",
        )
    can_act(session, acting["yes"], acting["approved"])
    out = session.console(stderr=True)
    if added or removed or recovery:
        _others(sealing, added, tuple(_meant(sealing, who) for who in removed), recovery, out)
    else:
        here = site_here(loaded.documents)
        if here is None:
            raise UsageError(
                "site-not-here",
                "this host is no site of the documents",
                "it has no key that could be replaced",
                "run it on the host whose key is replaced, or name keys with --add and --remove",
            )
        _own(sealing, here, out)
    code = rewrap(session, (), identity, **acting)
    out.print("Then 'aegis publish': a bare machine goes by the documents as they were published.", soft_wrap=True)
    return code


def _own(sealing: Sealing, here: Here, out: Console) -> None:
    """A new identity for this host wherever its present ones are named."""
    from aegis_plan.sealing.keys import new_identity

    site = here.file.site
    named = {*sealing.recipients, *sealing.host_recipients.values()}
    present = [one for one in here.public().recipients if one in named]
    if not present:
        raise UsageError(
            "key-not-named",
            "no key of this host is in the documents",
            f"none of the identities of {site} is among the recipients",
            "add it with --add, or make keys with 'aegis keys new'",
        )
    secret, recipient = new_identity()
    target, before, text = sealing_text()
    for old in present:
        text.replace(["sealing"], old, recipient)
    _vouch(sealing, text, secret)
    place = dated(here.file.path.parent / "keys", site, ".age")
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The key before its name: a document must never name a recipient whose private half was not kept.
    private(place, secret)
    change_site_file(here.file, identity="${file:" + f"{place.parent.name}/{place.name}" + "}")
    change_sealing(target, before, text)
    out.print(f"{site} has a new key, {place}; {here.file.path} names it beside the old one.", soft_wrap=True)
    out.print(f"{target} names its public half in the place of the old one.", soft_wrap=True)


def _vouch(sealing: Sealing, text: Text, secret: str) -> None:
    """Has a new key say which signers are believed, so that it alone tells on a machine that has nothing."""
    from aegis_plan.sealing.vouchers import vouch

    for signer in sealing.signers.values():
        add_voucher(text, vouch(secret, signer))


def _others(
    sealing: Sealing, added: tuple[str, ...], removed: tuple[str, ...], recovery: str | None, out: Console
) -> None:
    target, before, text = sealing_text()
    for recipient in added:
        if recipient not in sealing.recipients:
            text.add(["sealing", "recipients"], recipient)
    for recipient in removed:
        if recipient in sealing.recipients:
            text.remove(["sealing", "recipients"], recipient)
        for section, names in (("host_recipients", sealing.host_recipients), ("holders", sealing.holders)):
            for name, held in names.items():
                if held == recipient:
                    text.drop(["sealing", section], name)
    if recovery:
        text.replace(["sealing"], sealing.recovery_recipient, recovery)
    if text.text.encode() != before:
        change_sealing(target, before, text)
        out.print(f"Changed {target}.", soft_wrap=True)


def _meant(sealing: Sealing, who: str) -> str:
    """The recipient that is meant. Raises UsageError `recipient-unknown`, `recovery-needed`."""
    from aegis_plan.documents.recipients import short_id

    known = dict.fromkeys([*sealing.recipients, *sealing.host_recipients.values(), *sealing.holders.values()])
    if who in (sealing.recovery_recipient, short_id(sealing.recovery_recipient), "recovery"):
        raise UsageError(
            "recovery-needed",
            "there is always a recovery recipient",
            "it is what opens every backup when all else is lost",
            "put another in its place with --recovery RECIPIENT",
        )
    found = [one for one in known if who in (one, short_id(one)) or sealing.holders.get(who) == one]
    if len(found) != 1:
        raise UsageError(
            "recipient-unknown",
            "no such recipient",
            f"'{who}' is {'more than one' if found else 'none'} of the recipients of the documents",
            "'aegis keys list' shows them with their short ids",
        )
    return found[0]
