"""Asks the sites what their stores and repositories lack for all that is declared. What no site could look at is
`could_not_verify`, with the reason. It writes nothing, but where it is told to try repositories."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import ValidationError

from aegis_plan.clock import Clock
from aegis_plan.dispatch.contract import Dispatcher
from aegis_plan.documents.model import Documents, LocalRepository
from aegis_plan.observe.look import Looks
from aegis_plan.requirement import Requirement, unverified

_AWAY = "run it at that site too; where it has no site file, 'aegis keys new SITE' makes one"
LIMIT = 60.0
"""Seconds for all answers together: a bucket that does not answer takes its time."""


def check(
    documents: Documents,
    dispatcher: Dispatcher,
    clock: Clock,
    *,
    stores: Sequence[str],
    members: Collection[str] | None = None,
    repositories: Sequence[str],
    sites: Mapping[str, Mapping[str, Any]],
    write: bool = False,
    down: frozenset[str] = frozenset(),
    limit: float = LIMIT,
) -> list[Requirement]:
    """What has to be there, site by site. `sites` says of each what else it is asked: see `actions/check.py`. Of the
    members only those in `members`, each `<store>/<member>`, where that is given; nothing at sites in `down`.

    Never raises for what cannot be reached."""
    looks = Looks(documents, dispatcher, clock, down, limit)
    asked: list[tuple[str, str, str, str, str]] = []
    for site, more in sites.items():
        looks.ask("site", site, site, "look-site", {"site": site}, (f"sites/{site}",))
        looks.ask("look-needs-site", site, site, "look-needs-site", dict(more), (f"sites/{site}",))
        asked.append(("look-needs-site", site, site, f"sites/{site}", "the site is fit"))
    for store in stores:
        for member, where in documents.stores[store].members.items():
            name = f"{store}/{member}"
            if where.site in down or (members is not None and name not in members):
                continue
            along = (f"stores/{store}", f"sites/{where.site}")
            looks.ask(
                "look-needs-store", name, where.site, "look-needs-store", {"store": store, "member": member}, along
            )
            asked.append(("look-needs-store", name, where.site, f"stores/{name}", "the server is fit"))
    for repository in repositories:
        for site in users(documents, repository):
            if site in down:
                continue
            name = f"{repository}@{site}"
            action = "try-repository" if write else "look-needs-repository"
            along = (f"repositories/{repository}", f"sites/{site}")
            verb: Literal["look", "act"] = "act" if write else "look"
            looks.ask("look-needs-repository", name, site, action, {"repository": repository}, along, verb)
            asked.append(("look-needs-repository", name, site, f"repositories/{repository}", f"{site} can use it"))
    looks.wait()
    found: list[Requirement] = []
    outputs: dict[tuple[str, str], Mapping[str, Any]] = {}
    unreachable: set[str] = set()
    for site in sites:
        seen = looks.site(site)
        found.append(
            Requirement(code="site-unreachable", state="ok", summary="the site answers", subject=f"sites/{site}")
            if seen.reachable
            else unverified("site-unreachable", "the site answers", seen.reason, f"sites/{site}", hint=_AWAY)
        )
        unreachable |= set() if seen.reachable else {site}
        if seen.reachable and seen.daemon is None and _streams(documents, stores, site):
            found.append(
                Requirement(
                    code="site-daemon-missing",
                    state="missing",
                    summary="the daemon of the site runs",
                    severity="warning",
                    subject=f"sites/{site}",
                    needed_for=("stream",),
                    detail="it streams the log; without it nothing flows",
                    hint="aegis site run, as a service",
                )
            )
    for kind, name, site, subject, title in asked:
        if kind == "look-needs-site" and site in unreachable:
            continue  # said already
        outcome, reason = looks.found(kind, name)
        try:
            if outcome is None:
                raise ValueError(reason or f"site {site} is said to be down")
            found += [Requirement.model_validate(one) for one in outcome.outputs["requirements"]]
            outputs[kind, name] = outcome.outputs
        except (KeyError, TypeError, ValidationError):
            why = f"site {site} answered in a way that is not understood"
            found.append(unverified("not-looked-at", title, why, subject, hint="bring both to the same version"))
        except ValueError as error:
            found.append(unverified("not-looked-at", title, f"{site}: {error}", subject))
    if members is None:
        found += _read(documents, stores, outputs, found)
    return [*found, *_room(documents, stores, repositories, outputs)]


_ROOM = "there is room for another full of each store"
_Outputs = Mapping[tuple[str, str], Mapping[str, Any]]


def _read(
    documents: Documents, stores: Sequence[str], outputs: _Outputs, said: Sequence[Requirement]
) -> Iterator[Requirement]:
    """Warnings of every member do not add up to a store that can be backed up."""
    for store in stores:
        names = [f"{store}/{member}" for member in documents.stores[store].members]
        read = [name for name in names if outputs.get(("look-needs-store", name), {}).get("read")]
        backup = documents.stores[store].backup
        if backup is None or len(read) == 1 or any(("look-needs-store", name) not in outputs for name in names):
            continue
        if not read and any(
            one.code == "server-not-asked" and one.subject.startswith(f"stores/{store}/") for one in said
        ):
            continue  # why none of them answered stands there
        yield Requirement(
            code="two-primaries" if read else "no-primary",
            state="missing",
            summary="backups are read from one member",
            subject=f"stores/{store}",
            detail=f"{', '.join(read)} are primary" if read else "every member is a replica",
            hint=f"find out which one takes writes, and {'stop the other' if read else 'promote it'}",
        )


def _room(
    documents: Documents, stores: Sequence[str], repositories: Sequence[str], outputs: _Outputs
) -> Iterator[Requirement]:
    """Whether one more full of each store fits into a folder, uncompressed: what it takes at most."""
    for name in repositories:
        declared = documents.repositories[name]
        if not isinstance(declared, LocalRepository):
            continue
        free = outputs.get(("look-needs-repository", f"{name}@{declared.site}"), {}).get("free")
        kept = [store for store in stores if (backup := documents.stores[store].backup) and name in backup.repositories]
        if not kept:
            continue
        sizes = {
            store: max(
                (outputs.get(("look-needs-store", f"{store}/{member}"), {}).get("size") or 0)
                for member in documents.stores[store].members
            )
            for store in kept
            if documents.stores[store].members
        }
        unknown = [store for store, size in sizes.items() if not size]
        if not isinstance(free, int) or unknown:
            lacks = [] if isinstance(free, int) else ["how much is free there"]
            lacks += [f"how large {', '.join(unknown)} {'is' if len(unknown) == 1 else 'are'}"] if unknown else []
            yield unverified(
                "repository-full",
                _ROOM,
                f"nobody could tell {' and '.join(lacks)}",
                f"repositories/{name}",
                severity="warning",
                needed_for=("full",),
            )
            continue
        need = sum(sizes.values())
        yield Requirement(
            code="repository-full",
            state="ok" if free >= need else "missing" if free < need // 10 else "could_not_verify",
            severity="breach" if free < need // 10 else "warning",
            summary=_ROOM,
            subject=f"repositories/{name}",
            needed_for=("full",),
            detail="" if free >= need else f"{free} bytes are free; the data has {need} before it is compressed",
            hint="" if free >= need else "make room, or keep backups for a shorter time",
        )


def users(documents: Documents, repository: str) -> tuple[str, ...]:
    """The sites that put something into a repository or take it from there."""
    declared = documents.repositories[repository]
    if isinstance(declared, LocalRepository):
        return (declared.site,)
    sites = [
        member.site
        for store in documents.stores.values()
        if store.backup is not None and repository in store.backup.repositories
        for member in store.members.values()
    ]
    fallback = [declared.site] if declared.site is not None else list(documents.sites)[:1]
    return tuple(dict.fromkeys(sites or fallback))


def _streams(documents: Documents, stores: Sequence[str], site: str) -> bool:
    return any(
        store.backup is not None
        and store.backup.log is not None
        and store.backup.log.stream
        and any(member.site == site for member in store.members.values())
        for store in (documents.stores[name] for name in stores)
    )
