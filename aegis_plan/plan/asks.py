"""What a store's spec is asked with: its part of documents and snapshot. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aegis_plan.catalog.holding import Holding, Shelf
from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import MemberLook, PastDuration, Snapshot, StoreLook
from aegis_plan.stores.contract import Ask

Durations = Callable[[str, str], PastDuration | None]


def asks(
    documents: Documents,
    snapshot: Snapshot,
    stores: tuple[str, ...],
    sites_down: tuple[str, ...] = (),
    give_up_old: bool = False,
) -> dict[str, Ask]:
    """One question for each of the stores, in the order of tiers and names."""
    tiers = store_tiers(documents)
    durations = durations_of(snapshot)
    made = {}
    for name in sorted(stores, key=lambda name: (tiers[name], name)):
        store = documents.stores[name]
        look = snapshot.stores.get(name) or _unseen(documents, name)
        made[name] = Ask(
            documents=documents,
            name=name,
            store=store,
            look=_without(documents, look, sites_down) if sites_down else look,
            now=snapshot.taken_at,
            tier=tiers[name],
            durations=durations,
            stream=_stream(snapshot, documents, name),
            sites_down=sites_down,
            give_up_old=give_up_old,
        )
    return made


def store_tiers(documents: Documents) -> dict[str, int]:
    """Each store with the tier of its most critical user, over any number of steps; one pass over the services.

    A store that nobody uses has the lowest declared tier."""
    reached: dict[str, int] = {}
    by_tier = sorted(documents.services, key=lambda name: (documents.services[name].tier, name))
    for service in by_tier:
        tier, waiting = documents.services[service].tier, [service]
        while waiting:
            name = waiting.pop()
            if name in reached:
                continue
            reached[name] = tier
            if name in documents.services:
                waiting.extend(documents.services[name].uses)
    declared = [int(tier) for tier in documents.tiers if tier.isdigit()]
    lowest = max([*declared, *(service.tier for service in documents.services.values())], default=1)
    return {name: reached.get(name, lowest) for name in documents.stores}


def durations_of(snapshot: Snapshot) -> Durations:
    """Past runs by action and subject."""
    known = {(past.action, past.subject): past for past in snapshot.durations}
    return lambda action, subject: known.get((action, subject))


def _stream(snapshot: Snapshot, documents: Documents, store: str) -> dict[str, Any] | None:
    sites = {member.site for member in documents.stores[store].members.values()}
    for site in sorted(sites):
        look = snapshot.sites.get(site)
        streams = (look.daemon or {}).get("streams") if look is not None else None
        if isinstance(streams, dict) and store in streams:
            found = streams[store]
            return found if isinstance(found, dict) else {}
    return None


def _unseen(documents: Documents, name: str) -> StoreLook:
    members = documents.stores[name].members
    return StoreLook(
        store=name,
        members=tuple(
            MemberLook(member=member, site=declared.site, state="unknown", reason="not looked at")
            for member, declared in members.items()
        ),
        shelf=Shelf(
            store=name,
            holdings=tuple(
                Holding(repository=repository, reachable=False, reason="not looked at")
                for repository in documents.repositories
            ),
        ),
    )


def _without(documents: Documents, look: StoreLook, sites_down: tuple[str, ...]) -> StoreLook:
    """The same store with the members and repositories at lost sites counted as unreachable, as a look would find
    them. What was known of their records stays known: it says what is lost with them."""
    gone = {name for name, declared in documents.repositories.items() if declared.site in sites_down}
    holdings = tuple(
        Holding(repository=one.repository, reachable=False, reason="it is at a site that is said to be down")
        if one.repository in gone and one.reachable
        else one
        for one in look.shelf.holdings
    )
    return StoreLook(
        store=look.store,
        shelf=look.shelf.model_copy(update={"holdings": holdings}),
        members=tuple(
            MemberLook(
                member=member.member, site=member.site, state="unreachable", reason=f"site {member.site} is down"
            )
            if member.site in sites_down
            else member
            for member in look.members
        ),
    )
