"""Folds a snapshot and the spec of each store into the posture that `status` and `catalog` show. Looks at nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from aegis_plan.catalog.ending import endings
from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.holds import holds
from aegis_plan.catalog.living import living
from aegis_plan.catalog.record import SetRecord
from aegis_plan.catalog.together import Reachable, together
from aegis_plan.catalog.verified import looked_at, verdicts
from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import Snapshot, StoreLook
from aegis_plan.plan.holdings import holdings
from aegis_plan.plan.orphans import orphans
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.publishing import ahead
from aegis_plan.report.posture import (
    Expiring,
    HeldBack,
    Kept,
    Posture,
    Span,
    StoreAt,
    StorePosture,
    Together,
    VerifiedIn,
)
from aegis_plan.stores.contract import Ask
from aegis_plan.stores.specs import spec
from aegis_plan.stores.verification import verified
from aegis_plan.topology.graph import tier_of_store


def posture_of(documents: Documents, snapshot: Snapshot, plan: Plan | None) -> Posture:
    """What is protected how well; `plan` is the plan of protection for the same snapshot."""
    return Posture(
        system=documents.system.name,
        at=snapshot.taken_at,
        zone=documents.system.timezone,
        stores=tuple(
            _store(documents, name, look, snapshot.taken_at, plan)
            for name, look in snapshot.stores.items()
            if name in documents.stores
        ),
        services=tuple((one.service, one.verdict, one.reason) for one in snapshot.services.values()),
        sites=tuple(
            (one.site, one.reachable, _site(one.reachable, one.reason, one.daemon)) for one in snapshot.sites.values()
        ),
        documents=_documents(snapshot) if plan is not None else "",
        published=snapshot.published.number if snapshot.published is not None else 0,
        together=tuple(_together(documents, snapshot)),
        orphans=tuple(orphans(documents, snapshot).items()),
        due=len(plan.steps) if plan else 0,
        blocked=plan is not None and plan.blocked,
    )


def _documents(snapshot: Snapshot) -> str:
    published = snapshot.published
    if published is None:
        return ""
    said = [ahead(snapshot)] if ahead(snapshot) else []
    if not published.number and snapshot.working is not None:
        said.append("'aegis publish' does; a machine that has nothing could not recover from them")
    if published.behind:
        said.append(f"not yet in {', '.join(published.behind)}")
    said += list(dict.fromkeys(one.detail for one in published.damage if one.kind != "missing-object"))
    return "; ".join(said)


def _store(documents: Documents, name: str, look: StoreLook, now: datetime, plan: Plan | None) -> StorePosture:
    store = documents.stores[name]
    tier = tier_of_store(documents, name)
    engine = spec(store.engine)
    ask = Ask(documents=documents, name=name, store=store, look=look, now=now, tier=tier)
    exposure = engine.exposure(ask)
    spans = tuple(Span(window.begin, window.end) for window in engine.points(look.shelf))
    alive = living(look.shelf)
    last, verdict = looked_at(look.shelf.records), verdicts(look.shelf.records)
    sets = tuple(
        Kept(
            set=record.set,
            method=record.method,
            at=record.not_after,
            bytes=sum(stored.sealed_size for stored in record.objects),
            parent=record.parent,
            copies=alive.holders.get(record.id, ()),
            lineage=record.lineage,
            consistency=record.consistency,
            verified=_oldest(last.get((place, record.id)) for place in alive.holders.get(record.id, ())),
            failed=tuple(place for (place, one), found in verdict.items() if one == record.id and found == "fail"),
        )
        for record in alive.sets
    )
    rpo = _rpo(documents, tier)
    reasons: list[str] = []
    if plan is not None:
        shown = ("error", "breach", "warning")
        reasons += [one.summary for one in plan.findings if one.subject == name and one.severity in shown]
        reasons += [f"{step.title}: {step.reason}" for step in plan.steps if step.subject == name]
    if exposure.seconds is not None and rpo is not None and exposure.seconds > rpo:
        reasons.insert(0, "more would be lost now than the objective allows")
    declared = store.backup.repositories if store.backup else ()
    held = {repository for kept in sets for repository in kept.copies}
    if look.shelf.unseen and (not spans or (look.primary is not None and exposure.seconds is None)):
        state = "unknown"
    elif not spans or (look.primary is not None and exposure.seconds is None):
        state = "unprotected"
    elif reasons or any(repository not in held for repository in declared):
        state = "degraded"
    else:
        state = "protected"
    return StorePosture(
        store=name,
        tier=tier,
        state=state,  # type: ignore[arg-type]  # one of the four words above
        exposure=exposure.seconds,
        exposure_basis=exposure.basis,
        rpo=rpo,
        spans=spans,
        sets=sets,
        servers=tuple((member.member, member.state, member.reason) for member in look.members),
        repositories=tuple((one.repository, one.reachable, one.reason) for one in look.shelf.holdings),
        reasons=tuple(dict.fromkeys(reasons)),
        damage=tuple(
            (one.severity, one.code, f"{one.summary}: {one.detail}")
            for one in holdings(name, look.shelf)
            if one.code != "repository-unreachable"
        ),
        expiring=_expiring(look.shelf),
        holds=_holds(look.shelf, now),
        verified=tuple(
            VerifiedIn(one.repository, one.copies, one.never, len(one.failed), one.oldest) for one in verified(ask)
        ),
    )


def _oldest(times: Iterable[datetime | None]) -> datetime | None:
    found = list(times)
    known = [one for one in found if one is not None]
    return min(known) if known and len(known) == len(found) else None


def _expiring(shelf: Shelf) -> tuple[Expiring, ...]:
    ended = endings(shelf.records)
    return tuple(
        Expiring(record.set, record.not_after, ended[record.id].delete_from, ended[record.id].reason)
        for record in shelf.records
        if isinstance(record, SetRecord) and record.id in ended
    )


def _holds(shelf: Shelf, now: datetime) -> tuple[HeldBack, ...]:
    names = {record.id: record.set for record in shelf.records if isinstance(record, SetRecord)}
    return tuple(
        HeldBack(tuple(names.get(target, target) for target in one.targets), one.until, one.by, one.reason)
        for one in holds(shelf.records, now)
    )


def _together(documents: Documents, snapshot: Snapshot) -> Iterable[Together]:
    """Each service with the stores that it uses, itself or through others, of which all were looked at."""
    for name in documents.services:
        stores = sorted(_stores(documents, name))
        if not stores or any(store not in snapshot.stores for store in stores):
            continue
        reach = {store: _reachable(documents, store, snapshot.stores[store].shelf) for store in stores}
        common = together(reach)
        yield Together(
            service=name,
            at=common.at if common else None,
            skew=common.skew.total_seconds() if common else None,
            stores=tuple(StoreAt(store, one.at, one.exact) for store, one in common.points.items()) if common else (),
            missing=tuple(store for store in stores if not reach[store]),
        )


def _stores(documents: Documents, service: str) -> set[str]:
    found, waiting, seen = set(), [service], {service}
    while waiting:
        for used in documents.services[waiting.pop()].uses:
            if used in documents.stores:
                found.add(used)
            elif used in documents.services and used not in seen:
                seen.add(used)
                waiting.append(used)
    return found


def _reachable(documents: Documents, store: str, shelf: Shelf) -> list[Reachable]:
    """The spans of a store; one is fuzzy where the set that leads to it is."""
    fuzzy = {record.not_after for record in living(shelf).sets if record.consistency == "fuzzy"}
    return [
        Reachable(window.begin, window.end, window.begin not in fuzzy)
        for window in spec(documents.stores[store].engine).points(shelf)
    ]


def _rpo(documents: Documents, tier: int) -> float | None:
    """Of the store's tier, else of the system; the tighter one, in seconds."""
    of_tier = documents.tiers.get(str(tier))
    found = [one for one in (of_tier.rpo if of_tier else None, documents.system.objectives.rpo) if one is not None]
    return min(found).total_seconds() if found else None


def _site(reachable: bool, reason: str, daemon: dict[str, object] | None) -> str:
    if not reachable:
        return f"cannot be reached: {reason}"
    if daemon is None:
        return "reachable, no daemon runs"
    streams = daemon.get("streams")
    if isinstance(streams, dict) and streams:
        return "daemon runs, " + ", ".join(_stream(store, said) for store, said in sorted(streams.items()))
    return "daemon runs"


def _stream(store: str, said: object) -> str:
    """A stream that is declared and does not flow must not look as if it did."""
    state = said.get("state") if isinstance(said, dict) else None
    if isinstance(said, dict) and state == "streaming":
        return f"streams {store}"
    error = said.get("error") if isinstance(said, dict) else None
    return f"does not stream {store} ({state or 'unknown'}{f': {error}' if error else ''})"
