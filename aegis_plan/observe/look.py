"""Asks every site to look, then reads every repository: the world as one snapshot. It changes nothing and writes
nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from aegis_plan.catalog.holding import Holding, Shelf
from aegis_plan.clock import Clock, new_id
from aegis_plan.dispatch.contract import Attempt, Dispatcher, Outcome
from aegis_plan.documents.excerpt import excerpt
from aegis_plan.documents.model import Documents
from aegis_plan.errors import AegisError
from aegis_plan.observe.rooms import rooms
from aegis_plan.observe.snapshot import (
    PUBLICATION,
    Facts,
    MemberLook,
    PastDuration,
    PublishedLook,
    ServiceLook,
    SiteLook,
    Snapshot,
    StoreLook,
    store_facts,
)
from aegis_plan.repositories.contract import Repository

LIMIT = 45.0
"""Seconds for all looks together; what did not answer by then is unreachable or unknown, with that reason."""


def observe(
    documents: Documents,
    dispatcher: Dispatcher,
    repositories: Mapping[str, Repository | AegisError],
    clock: Clock,
    *,
    signers: Mapping[str, str] | Mapping[str, tuple[str, ...]],
    cache: Path | None = None,
    seen: Mapping[str, Mapping[str, tuple[str, ...]]] | None = None,
    durations: Sequence[PastDuration] = (),
    stores: Iterable[str] | None = None,
    sites_down: Iterable[str] = (),
    beside: str = "",
    limit: float = LIMIT,
) -> Snapshot:
    """The world as it is now. Sites in `sites_down` are not asked, and what is there counts as unreachable. `beside` is
    a folder to which a restore is asked for; where a driver can see it, its look tells of it.

    Never raises for what cannot be reached: that is part of the picture."""
    names = tuple(documents.stores) if stores is None else tuple(dict.fromkeys(stores))
    down = frozenset(sites_down)
    looks = Looks(documents, dispatcher, clock, down, limit)
    for site in documents.sites:
        looks.ask("site", site, site, "look-site", {"site": site}, (f"sites/{site}",))
    for store in names:
        declared = documents.stores[store]
        used = declared.backup.repositories if declared.backup is not None else ()
        along = (f"stores/{store}", *(f"repositories/{name}" for name in used), "sites/*")
        for member, where in declared.members.items():
            asked = {"store": store, "member": member, **({"beside": beside} if beside else {})}
            looks.ask("store", f"{store}/{member}", where.site, "look-store", asked, along)
    for service, running in documents.services.items():
        site = next((site for site in running.runs_at if site not in down), None) or next(iter(documents.sites), "")
        if running.health is not None and site:
            looks.ask("service", service, site, "look-service", {"service": service}, (f"services/{service}",))
    # The archive only grows. Were it read first, a slot could be ahead of it that is not: that looks like a hole.
    looks.wait()
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="published") as pool:
        publications = pool.submit(published_look, documents, repositories, seen or {}, down)
        open_ = {name: _reachable(documents, name, repositories, down) for name in documents.repositories}
        names_there = pool.submit(rooms, documents.system.name, open_, clock.now(), documents.schedule.history)
        found = shelves(documents, names, repositories, signers, cache, seen or {}, down)
        published, around = publications.result(), names_there.result()
    sites = {site: looks.site(site) for site in documents.sites}
    store_looks = {
        store: StoreLook(
            store=store,
            members=tuple(
                looks.member(store, member, where.site) for member, where in documents.stores[store].members.items()
            ),
            shelf=found[store],
        )
        for store in names
    }
    services = {service: looks.service(service) for service in documents.services}
    facts: Facts = {}
    for look in store_looks.values():
        facts.update(store_facts(look))
    facts[PUBLICATION] = published.digest
    return Snapshot(
        taken_at=clock.now(),
        sites=sites,
        stores=store_looks,
        services=services,
        durations=tuple(durations),
        published=published,
        rooms=around,
        facts=facts,
    )


def published_look(
    documents: Documents,
    repositories: Mapping[str, Repository | AegisError],
    seen: Mapping[str, Mapping[str, tuple[str, ...]]],
    down: frozenset[str] = frozenset(),
) -> PublishedLook:
    """The documents that were published, believed by the signers that these documents list."""
    from aegis_plan.repositories.publications import find, seen_by

    sealing = documents.sealing
    trusted = tuple(sealing.signers.values()) if sealing is not None else ()
    former = [key for keys in sealing.former_signers.values() for key in keys] if sealing is not None else []
    open_ = {name: _reachable(documents, name, repositories, down) for name in documents.repositories}
    found = find(documents.system.name, open_, trusted, former=former, seen=seen_by(seen))
    rest: dict[str, Any] = {"unseen": found.unseen, "behind": found.behind, "damage": found.damage, "last": found.last}
    if found.newest is None:
        return PublishedLook(**rest)
    publication = found.newest.publication
    return PublishedLook(
        number=publication.number,
        digest=found.newest.digest,
        revision=publication.revision,
        written=publication.written,
        site=publication.site,
        tool=publication.tool,
        wheels=tuple(laid.name for laid in publication.beside if laid.name.endswith(".whl")),
        holders=found.newest.holders,
        **rest,
    )


class Looks:
    """The looks of one observation: asked all at once, waited for together."""

    def __init__(
        self, documents: Documents, dispatcher: Dispatcher, clock: Clock, down: frozenset[str], limit: float
    ) -> None:
        self._documents = documents
        self._dispatcher = dispatcher
        self._clock = clock
        self._down = down
        self._limit = limit
        self._run = f"look-{new_id(clock.now())}"
        self._keys: dict[tuple[str, str], str] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._excerpts: dict[tuple[str, ...], dict[str, Any]] = {}
        self._begun = clock.monotonic()

    def ask(
        self,
        kind: str,
        name: str,
        site: str,
        action: str,
        params: dict[str, Any],
        along: tuple[str, ...],
        verb: Literal["look", "act"] = "look",
    ) -> None:
        if site in self._down:
            return
        if along not in self._excerpts:
            self._excerpts[along] = excerpt(self._documents, along).model_dump(mode="json")
        attempt = Attempt(
            run=self._run,
            step=f"look.{kind}.{name}",
            verb=verb,
            number=1,
            epoch=0,
            site=site,
            resource="",
            action=action,
            params=params,
            declared=self._excerpts[along],
            start_by=self._clock.now() + timedelta(seconds=self._limit),
            timeout=self._limit,
        )
        self._dispatcher.submit(attempt)
        self._keys[kind, name] = attempt.key

    def wait(self) -> None:
        waiting = set(self._keys.values())
        while waiting:
            for key in list(waiting):
                found = self._dispatcher.poll(key)
                if isinstance(found, Outcome):
                    self._outcomes[key] = found
                    waiting.discard(key)
            left = self._limit - (self._clock.monotonic() - self._begun)
            if not waiting or left <= 0:
                break
            self._dispatcher.wait(waiting, min(left, 1.0))
        for key in waiting:
            self._dispatcher.cancel(key, "the look took too long")

    def found(self, kind: str, name: str) -> tuple[Outcome | None, str]:
        """The outcome of a look that was done, or why there is none."""
        key = self._keys.get((kind, name))
        if key is None:
            return None, ""
        outcome = self._outcomes.get(key)
        if outcome is None:
            return None, f"no answer within {self._limit:.0f} s"
        if outcome.verdict == "done":
            return outcome, ""
        if outcome.trouble is None:
            return None, f"the look ended {outcome.verdict.replace('_', ' ')}"
        detail = f": {outcome.trouble.detail}" if outcome.trouble.detail else ""
        return None, outcome.trouble.summary + detail

    def site(self, name: str) -> SiteLook:
        if name in self._down:
            return SiteLook(site=name, reachable=False, reason="said to be down")
        outcome, reason = self.found("site", name)
        if outcome is None:
            return SiteLook(site=name, reachable=False, reason=reason)
        daemon = outcome.outputs.get("daemon")
        return SiteLook(
            site=name,
            reachable=True,
            host=str(outcome.outputs.get("host") or ""),
            daemon=daemon if isinstance(daemon, dict) else None,
            signer=str(outcome.outputs.get("signer") or ""),
            recipients=tuple(map(str, outcome.outputs.get("recipients") or ())),
            keys_trouble=str(outcome.outputs.get("keys_trouble") or ""),
        )

    def member(self, store: str, member: str, site: str) -> MemberLook:
        if site in self._down:
            return MemberLook(member=member, site=site, state="unreachable", reason=f"site {site} is said to be down")
        outcome, reason = self.found("store", f"{store}/{member}")
        if outcome is None:
            return MemberLook(member=member, site=site, state="unknown", reason=reason)
        try:
            return MemberLook.model_validate(
                {
                    "member": member,
                    "site": site,
                    "state": outcome.outputs.get("state", "unknown"),
                    "reason": outcome.outputs.get("reason") or "",
                    "lineage": outcome.outputs.get("lineage"),
                    "details": outcome.outputs.get("details") or {},
                }
            )
        except ValidationError:
            return MemberLook(
                member=member, site=site, state="unknown", reason="the site answered in a way that is not understood"
            )

    def service(self, name: str) -> ServiceLook:
        if self._documents.services[name].health is None:
            return ServiceLook(service=name, verdict="not_configured", reason="no health check is declared")
        outcome, reason = self.found("service", name)
        if outcome is None:
            return ServiceLook(service=name, verdict="could_not_verify", reason=reason or "no site to look from")
        verdict = outcome.outputs.get("verdict")
        if verdict not in ("pass", "fail", "could_not_verify", "not_configured"):
            verdict = "could_not_verify"
        return ServiceLook(service=name, verdict=verdict, reason=str(outcome.outputs.get("reason") or ""))


def shelves(
    documents: Documents,
    stores: Sequence[str],
    repositories: Mapping[str, Repository | AegisError],
    signers: Mapping[str, str] | Mapping[str, tuple[str, ...]],
    cache: Path | None,
    seen: Mapping[str, Mapping[str, tuple[str, ...]]],
    down: frozenset[str],
) -> dict[str, Shelf]:
    """What the repositories say of each store. One that cannot be looked at is a shelf that says so."""
    from aegis_plan.repositories.records import shelf

    def one(store: str) -> Shelf:
        backup = documents.stores[store].backup
        used = backup.repositories if backup is not None else ()
        open_ = {name: _reachable(documents, name, repositories, down) for name in used}
        try:
            return shelf(
                documents.system.name, store, signers, open_, cache=cache, remember=False, seen=seen.get(store, {})
            )
        except AegisError as error:
            return Shelf(
                store=store,
                holdings=tuple(
                    Holding(repository=name, reachable=False, reason=f"{error.summary}: {error.detail}")
                    for name in used
                ),
            )

    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="shelf") as pool:
        return dict(zip(stores, pool.map(one, stores), strict=True))


def _reachable(
    documents: Documents, name: str, repositories: Mapping[str, Repository | AegisError], down: frozenset[str]
) -> Repository | AegisError:
    if documents.repositories[name].site in down:
        return AegisError("site-unreachable", "a site does not answer", f"{name} is at a site that is said to be down")
    return repositories[name]
