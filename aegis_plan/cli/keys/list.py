"""`aegis keys list`: who can open what, which keys the documents name and which private halves this host has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aegis_plan.cli.session import Session, pass_session
from aegis_plan.report.visible import dumps

if TYPE_CHECKING:
    from aegis_plan.cli.wire import Here
    from aegis_plan.documents.model import Documents, Sealing
    from aegis_plan.observe.snapshot import Snapshot


@click.command("list")
@click.option("--offline", is_flag=True, help="Only what documents and this host say; ask no repository.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@pass_session
def command(session: Session, offline: bool, as_json: bool) -> None:
    """Who can open which backups, and which private halves this host has.

    Read from the wrapped data keys in the repositories, which name their recipients and are signed.
    """
    from aegis_plan.cli.wire import load_documents, site_here, world
    from aegis_plan.report.keys import show_keys

    loaded = load_documents()
    here = site_here(loaded.documents)
    snapshot = None
    if not offline and here is not None and loaded.documents.sealing is not None:
        with world(loaded.documents, loaded.digest) as seen:
            snapshot = seen.observe()
    found = keys_of(loaded.documents, here, snapshot)
    if as_json:
        click.echo(dumps(found, indent=2))
    else:
        show_keys(found, session.console())


def keys_of(documents: Documents, here: Here | None, snapshot: Snapshot | None) -> dict[str, Any]:
    """All that is known of the keys, as plain data."""
    sealing = documents.sealing
    if sealing is None:
        return {"format": 1, "sealing": False}
    public = here.public() if here is not None else None
    ours = set(public.recipients) if public is not None else set()
    opens, total = _opens(snapshot)
    named = dict.fromkeys([*sealing.recipients, sealing.recovery_recipient, *sealing.host_recipients.values()])
    recipients = [_recipient(sealing, one, one in ours, opens) for one in dict.fromkeys([*named, *opens])]
    signers = [
        {"site": site, "key": key, "state": state, "private_half_here": public is not None and key == public.signer}
        for site, key, state in (
            *((site, key, "present") for site, key in sealing.signers.items()),
            *((site, key, "former") for site, keys in sealing.former_signers.items() for key in keys),
        )
    ]
    return {
        "format": 1,
        "sealing": True,
        "site": here.file.site if here is not None else None,
        "recipients": recipients,
        "signers": signers,
        "data_keys": total,
        "apart": _apart(documents, sealing, snapshot),
        "unseen": sorted(
            {f"{one.repository}: {one.reason}" for look in snapshot.stores.values() for one in look.shelf.holdings
             if not one.reachable}
        ) if snapshot is not None else None,
        "spare": sorted(ours - set(named)) if public is not None else [],
    }  # fmt: skip


def _recipient(sealing: Sealing, recipient: str, here: bool, opens: dict[str, dict[str, int]]) -> dict[str, Any]:
    from aegis_plan.documents.recipients import short_id

    roles = ["backup"] * (recipient in sealing.recipients) + ["recovery"] * (recipient == sealing.recovery_recipient)
    roles += ["host"] * (recipient in sealing.host_recipients.values())
    return {
        "recipient": recipient,
        "id": short_id(recipient),
        "holder": sealing.holder(recipient),
        "roles": roles or ["removed"],
        "private_half_here": here,
        "opens": opens.get(recipient, {}),
    }


def _opens(snapshot: Snapshot | None) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Recipient to how many data keys of each store it opens in at least one repository; and how many there are."""
    who: dict[str, dict[str, set[str]]] = {}
    every: dict[str, set[str]] = {}
    for name, look in snapshot.stores.items() if snapshot is not None else ():
        for holding in look.shelf.holdings:
            for group in holding.wrapped:
                every.setdefault(name, set()).update(group.keys)
                for recipient in group.data:
                    who.setdefault(recipient, {}).setdefault(name, set()).update(group.keys)
                for recipient in group.meta:
                    who.setdefault(recipient, {})
    counted = {one: {store: len(keys) for store, keys in stores.items()} for one, stores in who.items()}
    return counted, {store: len(keys) for store, keys in every.items()}


def _apart(documents: Documents, sealing: Sealing, snapshot: Snapshot | None) -> list[dict[str, Any]]:
    from aegis_plan.plan.rewrap import apart, said

    return [
        {
            "store": name,
            "lineage": one.lineage,
            "keys": sorted(one.keys),
            "repositories": sorted(one.places),
            "why": said(one, sealing),
        }
        for name, look in (snapshot.stores.items() if snapshot is not None else ())
        if name in documents.stores
        for one in apart(name, look.shelf, sealing)
    ]
