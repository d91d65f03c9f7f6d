"""Data keys that are not wrapped to the recipients of the documents: what that means, and the steps that change it.

Who can open a set is read off its wrapped data keys, which name their recipients and are signed; no key is needed.
Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from aegis_plan.catalog.holding import Shelf
from aegis_plan.documents.model import Documents, Sealing
from aegis_plan.documents.recipients import bare, names_of, recipients_of
from aegis_plan.observe.snapshot import SiteLook, Snapshot
from aegis_plan.plan.asks import durations_of, store_tiers
from aegis_plan.plan.assembly import assembled
from aegis_plan.plan.plan import Intent, Plan, PlanFinding
from aegis_plan.plan.step import Estimate, Step, measured, new_step

RECOVER = "run 'aegis keys rewrap --identity FILE' with the recovery key, or with an identity that opened them"


@dataclass
class Apart:
    """How the data keys of one store's lineage differ from what the documents ask for."""

    store: str
    lineage: str
    keys: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    """Recipients that open something and should not."""
    lacking: set[str] = field(default_factory=set)
    """Recipients that should open everything and do not."""
    hosts: set[str] = field(default_factory=set)
    """Recipients of hosts that should open what the next backup needs and do not."""
    older: set[str] = field(default_factory=set)
    """Data keys that also lie there in an old form."""
    openers: list[frozenset[str]] = field(default_factory=list)
    """For each form that has to be opened: who can."""


def apart(store: str, shelf: Shelf, sealing: Sealing, locked: Collection[str] = ()) -> list[Apart]:
    """Every lineage of a store whose data keys are not wrapped to the recipients of today. Old forms beside new ones
    are no matter in the repositories `locked`, where they can only be waited for."""
    data, meta = (frozenset(names) for names in recipients_of(sealing))
    right = {
        (group.lineage, key)
        for holding in shelf.holdings
        for group in holding.wrapped
        if (frozenset(group.data), frozenset(group.meta)) == (data, meta)
        for key in group.keys
    }
    found: dict[str, Apart] = {}
    for holding in shelf.holdings:
        for group in holding.wrapped:
            has_data, has_meta = frozenset(group.data), frozenset(group.meta)
            same = (has_data, has_meta) == (data, meta)
            older = () if holding.repository in locked else group.older
            if same and not older:
                continue
            one = found.setdefault(group.lineage, Apart(store, group.lineage))
            one.places.add(holding.repository)
            one.older.update(older)
            one.keys.update(older if same else group.keys)
            if same:
                continue
            one.removed |= (has_meta - meta) | (has_data - data)
            one.lacking |= data - has_data
            one.hosts |= meta - has_meta - data
            if any((group.lineage, key) not in right for key in group.keys):
                one.openers.append(has_data)
    return [found[lineage] for lineage in sorted(found)]


def locking(documents: Documents) -> list[str]:
    """The repositories that lock what they hold."""
    return [name for name, one in documents.repositories.items() if getattr(one, "object_lock", None) is not None]


def rewraps(
    documents: Documents,
    snapshot: Snapshot,
    stores: Sequence[str],
    identity: str = "",
    site: str = "",
    asked: bool = False,
) -> tuple[list[Step], list[PlanFinding]]:
    """Steps that wrap data keys to today's recipients, and findings. `identity` is a reference to a key that opens
    them, at `site`; without one a site is chosen whose own keys do. When `asked` for by hand, what locks keep is tried
    too."""
    sealing = documents.sealing
    steps: list[Step] = []
    findings: list[PlanFinding] = []
    if sealing is None:
        return steps, findings
    tiers = store_tiers(documents)
    locked = [] if asked else locking(documents)
    for name in sorted(stores, key=lambda name: (tiers[name], name)):
        look = snapshot.stores.get(name)
        for one in apart(name, look.shelf, sealing, locked) if look is not None else ():
            where = site or _site(documents, snapshot, one)
            if where:
                steps.append(_step(documents, snapshot, one, where, identity, tiers[name], sealing))
            findings.append(_finding(one, sealing, bool(where)))
    return steps, findings


def plan_rewrap(documents: Documents, snapshot: Snapshot, digest: str, tool: str, intent: Intent) -> Plan:
    """The plan that does nothing but this; `intent.options` may carry `identity` and `site`."""
    names = intent.stores or tuple(documents.stores)
    options = intent.options
    steps, findings = rewraps(
        documents, snapshot, names, str(options.get("identity", "")), str(options.get("site", "")), asked=True
    )
    findings.extend(_away(snapshot, names))
    findings.extend(_streams(documents, snapshot, names))
    return assembled(documents, snapshot, digest, tool, intent, steps, findings)


def _away(snapshot: Snapshot, names: Sequence[str]) -> Iterator[PlanFinding]:
    told = {
        (one.repository, one.reason)
        for name in names
        if (look := snapshot.stores.get(name)) is not None
        for one in look.shelf.holdings
        if not one.reachable
    }
    for repository, reason in sorted(told):
        yield PlanFinding(
            severity="warning",
            code="keys-not-reached",
            summary="a repository keeps its old data keys, because it cannot be reached",
            detail=f"{repository}: {reason}; a key that was removed opens what lies there",
            hint="bring it back; the next plan wraps them anew",
        )


def _streams(documents: Documents, snapshot: Snapshot, names: Sequence[str]) -> Iterator[PlanFinding]:
    """Streams that go on sealing to the recipients that they were declared with."""
    wanted = set(recipients_of(documents.sealing)[1]) if documents.sealing is not None else set()
    for site, look in sorted(snapshot.sites.items()):
        streams = (look.daemon or {}).get("streams")
        for store, said in sorted(streams.items()) if isinstance(streams, dict) else ():
            readers = said.get("readers") if isinstance(said, dict) else None
            if store in names and isinstance(readers, list) and readers and set(readers) != wanted:
                yield PlanFinding(
                    severity="warning",
                    code="stream-seals-to-others",
                    summary="a log stream seals to recipients that the documents name no more",
                    detail=f"{store}: the daemon of {site} was told of them by an earlier plan",
                    hint="apply 'aegis plan' as well: that declares the stream anew and wraps what came meanwhile",
                    subject=store,
                )


def _site(documents: Documents, snapshot: Snapshot, one: Apart) -> str:
    """A site that can sign and whose keys open all that has to be opened; empty where there is none."""
    able = [
        name
        for name, look in snapshot.sites.items()
        if look.reachable and _signs(documents, name, look) and all(who & _ours(look) for who in one.openers)
    ]
    primary = [name for name in able if name in documents.sites and documents.sites[name].role == "primary"]
    return (primary or able or [""])[0]


def _signs(documents: Documents, name: str, look: SiteLook) -> bool:
    return documents.sealing is not None and bool(look.signer) and documents.sealing.signers.get(name) == look.signer


def _ours(look: SiteLook) -> frozenset[str]:
    return frozenset(map(bare, look.recipients))


def said(one: Apart, sealing: Sealing) -> str:
    """In what the data keys differ, in words."""
    parts = []
    if one.removed:
        parts.append(f"{names_of(one.removed, sealing)} can open them and is not in the documents")
    if one.lacking:
        parts.append(f"{names_of(one.lacking, sealing)} cannot open them")
    if one.hosts:
        parts.append(f"{names_of(one.hosts, sealing)} cannot read what an incremental needs")
    if one.older:
        parts.append(f"{len(one.older)} lie there in an old form too")
    return "; ".join(parts)


def _finding(one: Apart, sealing: Sealing, planned: bool) -> PlanFinding:
    detail = f"{len(one.keys)} data keys of {one.store} in {', '.join(sorted(one.places))}: {said(one, sealing)}"
    hint = "this plan wraps the data keys anew; no data is written" if planned else RECOVER
    if one.removed or one.older:
        return PlanFinding(
            severity="warning" if planned else "breach",
            code="keys-open-to-others",
            summary="a key that the documents do not name opens backups",
            detail=detail,
            hint=hint,
            subject=one.store,
        )
    return PlanFinding(
        severity="warning" if one.lacking else "note",
        code="keys-not-for-all",
        summary="a key that the documents name opens not all backups",
        detail=detail,
        hint=hint,
        subject=one.store,
    )


def _step(
    documents: Documents, snapshot: Snapshot, one: Apart, site: str, identity: str, tier: int, sealing: Sealing
) -> Step:
    backup = documents.stores[one.store].backup
    repositories = backup.repositories if backup is not None else ()
    past = durations_of(snapshot)("rewrap", one.store)
    return new_step(
        "rewrap",
        id=f"{one.store}.rewrap-{one.lineage}",
        title=f"wrap {len(one.keys)} data keys of {one.store} to today's recipients",
        reason=said(one, sealing) or "asked for",
        site=site,
        tier=tier,
        phase="protect",
        subject=one.store,
        resource=f"{one.store}/data",
        lease=f"{one.store}/data",
        params={"store": one.store, "lineage": one.lineage, "identity": identity},
        declared=(f"stores/{one.store}", *(f"repositories/{name}" for name in repositories), "sites/*"),
        estimate=measured(past) if past is not None else Estimate(),
    )
