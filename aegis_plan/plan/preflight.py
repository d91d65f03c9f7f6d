"""What the recovery of a scenario would need, read off its plan: places, programs, secrets, people. Pure; whether it is
there the sites are asked by others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from aegis_plan.documents.model import AzureRepository, Documents, LocalRepository, S3Repository
from aegis_plan.documents.scalars import sized
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.services import concerned
from aegis_plan.requirement import Requirement


@dataclass
class Wanted:
    """What to ask the sites that are left."""

    stores: tuple[str, ...] = ()
    members: frozenset[str] = frozenset()
    repositories: tuple[str, ...] = ()
    sites: dict[str, dict[str, Any]] = field(default_factory=dict)
    down: frozenset[str] = frozenset()
    authority: str = ""

    def site(self, name: str) -> dict[str, Any]:
        return self.sites.setdefault(name, {"references": {}, "programs": {}})


def wanted(plan: Plan) -> Wanted:
    """What the plan of a scenario rests on, where it would be carried out."""
    documents = plan.documents
    scenario = documents.scenarios[plan.intent.scenario]
    stores = tuple(concerned(documents, plan.intent, scenario))
    found = Wanted(stores=stores, down=frozenset({*scenario.lost_sites, *plan.intent.sites_down}))
    found.members = frozenset(_members(plan, stores, found.down))
    for name in sorted(found.members):
        store, _, member = name.partition("/")
        declared = documents.stores[store].members[member]
        found.site(declared.site)["references"][f"connection of {name}"] = declared.connection
    found.authority = _authority(documents)
    used = [one for store in stores if (backup := documents.stores[store].backup) for one in backup.repositories]
    mirrors = documents.state.mirrors if documents.state is not None else ()
    names = dict.fromkeys([*used, *([found.authority] if found.authority else []), *mirrors])
    found.repositories = tuple(name for name in names if documents.repositories[name].site not in found.down)
    homes = {documents.stores[store].members[member].site for store, member in _split(found.members)}
    for name in found.repositories:
        repository = documents.repositories[name]
        if isinstance(repository, S3Repository | AzureRepository):
            s3 = isinstance(repository, S3Repository)
            # A recovery reads; only the state authority is written to as well.
            asked = repository.read if repository.read is not None and name != found.authority else repository
            for site in sorted(homes):
                for key in ("access_key", "secret_key") if s3 else ("connection", "sas", "account_key"):
                    if text := getattr(asked, key):
                        found.site(site)["references"][f"{key} of {name}"] = text
        elif isinstance(repository, LocalRepository):
            found.site(repository.site)
    for step in plan.steps:
        if step.site not in documents.sites or step.site in found.down:
            continue
        programs = found.site(step.site)["programs"]
        for word in ("run", "undo", "probe"):
            if words := step.params.get(word):
                programs[f"{step.id}, {word}"] = [list(words), step.params.get("run_as")]
                references = found.site(step.site)["references"]
                secret = " ".join(str(one) for one in words if "${" in str(one))
                if secret:
                    references[f"{step.id}, {word}"] = secret
        service = documents.services.get(str(step.params.get("service", "")))
        if service is not None and service.health is not None and service.health.command is not None:
            programs[step.id] = [list(service.health.command.run), None]
    return found


def judged(plan: Plan, ask: Wanted) -> list[Requirement]:
    """What the plan itself shows: whether it can be made, its room, its people, its state authority."""
    return [*_made(plan), *_sites(plan), *_state(plan, ask), *_room(plan), *_people(plan)]


def for_recovery(found: Iterable[Requirement], plan: Plan, ask: Wanted) -> list[Requirement]:
    """Of all that sites said, what a recovery needs."""
    counted = {one.subject for one in _room(plan) if one.state != "could_not_verify"}
    kept = []
    for one in found:
        authority = one.subject == f"repositories/{ask.authority}"
        needed = not one.needed_for or "restore" in one.needed_for or one.code == "signing-key-missing" or authority
        if not needed or one.severity == "note" or (one.code == "no-space" and one.subject in counted):
            continue
        kept.append(one)
    return kept


def _split(members: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in members:
        store, _, member = name.partition("/")
        yield store, member


def _members(plan: Plan, stores: tuple[str, ...], down: frozenset[str]) -> Iterator[str]:
    """Those that the plan restores onto; of a store that it cannot restore, all that are left."""
    documents = plan.documents
    for store in stores:
        named = {
            str(place.get("member"))
            for step in plan.steps
            if step.subject == store and isinstance(place := step.params.get("place"), dict) and place.get("member")
        }
        for member, declared in documents.stores[store].members.items():
            if declared.site not in down and (member in named or not named):
                yield f"{store}/{member}"


def _authority(documents: Documents) -> str:
    if documents.state is not None:
        return documents.state.authority
    return next(iter(documents.repositories)) if len(documents.repositories) == 1 else ""


def _made(plan: Plan) -> Iterator[Requirement]:
    subject = f"scenarios/{plan.intent.scenario}"
    errors = [one for one in plan.findings if one.severity == "error"]
    for one in errors:
        yield Requirement(
            code=one.code,
            # Nothing of it was seen, which does not mean that it is not there.
            state="could_not_verify" if one.code == "backups-unknown" else "missing",
            summary=f"a plan can be made: {one.summary}",
            subject=subject,
            detail=one.detail,
            hint=one.hint,
        )
    declared = plan.documents
    if errors:
        return
    if not any(step.subject in declared.stores or step.subject in declared.services for step in plan.steps):
        yield Requirement(
            code="plan-empty",
            state="could_not_verify",
            summary="the plan brings something back",
            subject=subject,
            detail="; ".join(plan.choices) or "no step of it works on a store or a service",
            hint="where the disaster does more than that, name it under 'affects'",
        )
    else:
        yield Requirement(
            code="plan-blocked",
            state="ok",
            summary=f"a plan can be made from what is there now, of {len(plan.steps)} steps",
            subject=subject,
        )


def _sites(plan: Plan) -> Iterator[Requirement]:
    """Sites that the plan works at and nobody declared. Of one that is lost the plan itself says so; whether the others
    answer they are asked."""
    subject = f"scenarios/{plan.intent.scenario}"
    steps: dict[str, list[str]] = {}
    for step in plan.steps:
        steps.setdefault(step.site, []).append(step.id)
    for site, there in steps.items():
        if site and site not in plan.documents.sites:
            yield Requirement(
                code="site-unknown",
                state="missing",
                summary=f"site {site} is declared",
                subject=subject,
                detail=f"{', '.join(there)} would run there",
                hint="correct the site of the step",
            )


def _state(plan: Plan, ask: Wanted) -> Iterator[Requirement]:
    if not ask.authority:
        return
    lost = plan.documents.repositories[ask.authority].site in ask.down
    yield Requirement(
        code="authority-lost",
        state="missing" if lost else "ok",
        summary="leases and journals outlive the disaster",
        subject=f"scenarios/{plan.intent.scenario}",
        detail=f"the state authority {ask.authority} is at a site that the scenario takes away" if lost else "",
        hint="name a repository elsewhere under state.authority; without it a recovery takes --break-glass REASON"
        if lost
        else "",
    )


def _room(plan: Plan) -> Iterator[Requirement]:
    """Room for what is staged, as the plan counts it; of what size nobody knows it cannot be told."""
    cleared = {step.subject for step in plan.steps if step.action in ("clear-place", "move-away")}
    told: set[str] = set()
    for step in plan.steps:
        need, place = step.params.get("need_bytes"), step.params.get("place")
        own = None if step.params.get("beside") else step.params.get("member")
        member = place.get("member") if isinstance(place, dict) else own
        if not isinstance(need, int) or member is None or step.subject in told:
            continue
        told.add(step.subject)
        seen = plan.snapshot.stores.get(step.subject)
        look = seen.member(str(member)) if seen is not None else None
        free = look.details.get("free_bytes") if look is not None else None
        summary = f"there is room for {sized(need)} of restored data"
        subject = f"stores/{step.subject}/{member}"
        if not isinstance(free, int):
            yield Requirement(
                code="no-space",
                state="could_not_verify",
                summary=summary,
                subject=subject,
                detail=look.reason if look is not None else "it was not looked at",
            )
            continue
        fine = free >= need or step.subject in cleared
        yield Requirement(
            code="no-space",
            state="ok" if fine else "missing",
            summary=summary + (", once the old data is gone" if free < need and fine else f": {sized(free)} are free"),
            subject=subject,
            hint="" if fine else "make room, or keep_old_data: PATH on another disk",
        )
    for step in plan.steps:
        if step.action == "stage" and step.subject not in told:
            told.add(step.subject)
            place = step.params.get("place")
            member = (place.get("member") if isinstance(place, dict) else None) or step.params.get("member")
            yield Requirement(
                code="no-space",
                state="could_not_verify",
                summary="there is room for the restored data",
                subject=f"stores/{step.subject}" + (f"/{member}" if member else ""),
                detail="it was not looked what is free there"
                if isinstance(step.params.get("need_bytes"), int)
                else "nobody knows how much it is",
                hint=f"see how large {step.subject} is, and what is free at {step.site}",
            )


def _people(plan: Plan) -> Iterator[Requirement]:
    """Who is asked or called out has to be somebody."""
    documents = plan.documents
    scenario = documents.scenarios[plan.intent.scenario]
    roles: dict[str, str] = {}
    if scenario.commander:
        roles[scenario.commander] = "leads it"
    for phase in type(scenario.steps).model_fields:
        for name, own in getattr(scenario.steps, phase).items():
            if own.by:
                roles.setdefault(own.by, f"does {phase}.{name}")
            if own.approve:
                roles.setdefault(own.approve, f"approves {phase}.{name}")
    for role, what in roles.items():
        declared = documents.team.get(role)
        people = declared.people if declared is not None else ()
        deputy = documents.team.get(declared.deputy) if declared is not None and declared.deputy else None
        known = bool(people or (deputy is not None and deputy.people))
        yield Requirement(
            code="person-missing",
            state="ok" if known else "missing",
            summary=f"somebody is {role}, who {what}",
            subject=f"scenarios/{plan.intent.scenario}",
            detail="" if known else "the team names no person" if declared is not None else "the team has no such role",
            hint="" if known else f"add team.{role}.people, the first to be called first",
        )
