"""Steps that let expired backups go, for every kind of store: a mark first, the deletion after its grace. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aegis_plan.catalog import locks
from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.catalog.retention import Going, Retention, Rules, retained, without
from aegis_plan.documents.model import Backup, LocalRepository
from aegis_plan.documents.scalars import sized, span
from aegis_plan.plan.plan import PlanFinding
from aegis_plan.plan.step import Estimate, Step, measured, new_step
from aegis_plan.stores.contract import Ask, Recipe, StoreSpec, Window

_NAMED = 40
"""So many sets are named in a plan one by one."""


def rules_of(backup: Backup, accept_shorter: bool = False) -> Rules:
    """What the documents say of one store, in the words of the catalog. Incrementals that are no longer declared are
    kept as long as fulls."""
    kinds = {"full": backup.full, "incremental": backup.incremental or backup.full, "log": backup.log}
    return Rules(
        {name: kind.retain if kind is not None else None for name, kind in kinds.items()},
        minimum_fulls=backup.retention.minimum_fulls,
        grace=backup.retention.grace,
        shortening_grace=backup.retention.shortening_grace,
        accept_shorter=accept_shorter,
    )


def retention_of(ask: Ask, engine: StoreSpec, accept_shorter: bool = False) -> Retention:
    """The verdict on each record of a store, as it was seen."""
    if ask.store.backup is None:
        return Retention(stopped="no backup is declared")
    shelf = ask.look.shelf
    return retained(shelf, rules_of(ask.store.backup, accept_shorter), engine.bonds(shelf), ask.now)


def prune(
    ask: Ask,
    engine: StoreSpec,
    *,
    at_once: bool = False,
    accept_shorter: bool = False,
    asked: bool = False,
    after: Sequence[str] = (),
) -> Recipe:
    """Steps that mark what expired and delete what was marked before; `at_once` deletes what is marked now too.

    `asked`: somebody asked for it, so that leftovers are looked for and what stands in the way is told. The steps come
    `after` those named."""
    found = retention_of(ask, engine, accept_shorter)
    findings: list[PlanFinding] = []
    if found.stopped:
        if asked:
            findings.append(_stopped(ask, found.stopped))
        return Recipe(findings=tuple(findings))
    findings.extend(_later(ask, found, engine))
    steps: list[Step] = []
    choices: list[str] = []
    if found.going or found.unspread:
        steps.append(_expire(ask, found, at_once, accept_shorter, after))
        choices.extend(_told(ask, engine, found.going))
    gone = [one.record for one in found.deletable]
    if at_once:
        gone = [*gone, *(one.record for one in found.waiting), *(one.record for one in found.going)]
        if not steps and found.waiting:
            steps.append(_expire(ask, found, at_once, accept_shorter, after))
    locked = {one: until for one, until in _locked(ask).items() if one in gone and until > ask.now}
    if locked:
        gone = [one for one in gone if one not in locked]
        findings.append(_still_locked(ask, locked))
    if gone or asked:
        steps.append(_delete(ask, found, gone, asked, tuple(step.id for step in steps) or tuple(after)))
    return Recipe(steps=tuple(steps), findings=tuple(findings), choices=tuple(choices))


def _step(ask: Ask, action: str, name: str, **fields: Any) -> Step:
    past = ask.durations(action, ask.name)
    used = ask.store.backup.repositories if ask.store.backup is not None else ()
    return new_step(
        action,
        id=f"{ask.name}.{name}",
        site=site_of(ask),
        tier=ask.tier,
        phase="protect",
        subject=ask.name,
        declared=(f"stores/{ask.name}", *(f"repositories/{one}" for one in used), "sites/*"),
        estimate=measured(past) if past is not None else Estimate(),
        **fields,
    )


def site_of(ask: Ask) -> str:
    """Where the repositories of a store can be reached from: that of a local one, else that of its first server."""
    for name in ask.store.backup.repositories if ask.store.backup is not None else ():
        declared = ask.documents.repositories.get(name)
        if isinstance(declared, LocalRepository):
            return declared.site
    primary = ask.look.primary
    return primary.site if primary is not None else next(iter(ask.store.members.values())).site


def _expire(ask: Ask, found: Retention, at_once: bool, accept_shorter: bool, after: Sequence[str]) -> Step:
    grace = ask.store.backup.retention.grace if ask.store.backup is not None else timedelta()
    what = _count(ask, [one.record for one in found.going])
    again = [one.record for one in found.waiting] if at_once else []
    title = f"mark {what or _count(ask, again) or 'what went'} of {ask.name} as expired"
    reason = f"{found.going[0].why}, and nothing that stays needs it" if found.going else "it is marked already"
    if found.unspread:
        title = f"{title} in every repository"
        reason = f"{reason}; a repository does not know all marks" if found.going else "a repository lacks a mark"
    then = (
        "it is deleted right after" if at_once else f"it is deleted {span(grace.total_seconds())} later at the soonest"
    )
    return _step(
        ask,
        "expire",
        "expire",
        title=title,
        reason=f"{reason}; {then}",
        resource=f"{ask.name}/data",
        lease=f"{ask.name}/data",
        needs=tuple(after),
        params={
            "store": ask.name,
            "records": [one.record for one in found.going],
            "again": again,
            "at_once": at_once,
            "accept_shorter": accept_shorter,
        },
    )


def _delete(ask: Ask, found: Retention, gone: list[str], asked: bool, needs: tuple[str, ...]) -> Step:
    what = _count(ask, gone)
    after = ask.store.backup.retention.leftovers_after if ask.store.backup is not None else timedelta()
    left = f"leftovers older than {span(after.total_seconds())}"
    reason = f"it expired, was marked, and its grace is over; {sized(_bytes(ask, gone))} become free"
    return _step(
        ask,
        "prune",
        "prune",
        title=f"delete {what} of {ask.name}" if what else f"look for {left} of {ask.name}",
        reason=reason if what else "what no record names is of no use",
        resource=f"{ask.name}/data",
        lease=f"{ask.name}/data",
        needs=needs,
        params={"store": ask.name, "records": gone, "leftovers": asked},
    )


def _count(ask: Ask, records: Sequence[str]) -> str:
    """`2 sets and 300 ranges of log`, or nothing."""
    known = {record.id: record for record in ask.look.shelf.records}
    sets = sum(isinstance(known.get(one), SetRecord) for one in records)
    ranges = sum(isinstance(known.get(one), LogRecord) for one in records)
    counted = ((sets, "set"), (ranges, "range"))
    told = [f"{count} {word}{'s' if count > 1 else ''}" for count, word in counted if count]
    return " and ".join(told) + (" of log" if ranges else "")


def _bytes(ask: Ask, records: Sequence[str]) -> int:
    """Over all repositories."""
    wanted = set(records)
    held = [one for holding in ask.look.shelf.holdings for one in holding.held if one in wanted]
    sizes = {
        record.id: sum(stored.sealed_size for stored in record.objects)
        for record in ask.look.shelf.records
        if record.id in wanted and isinstance(record, SetRecord | LogRecord)
    }
    return sum(sizes.get(one, 0) for one in held)


def _told(ask: Ask, engine: StoreSpec, going: Sequence[Going]) -> list[str]:
    """Each set that goes and why, the log in one line, and to which moments the store goes back before and after."""
    known = {record.id: record for record in ask.look.shelf.records}
    sets = [(record, one.why) for one in going if isinstance(record := known.get(one.record), SetRecord)]
    ranges = [record for one in going if isinstance(record := known.get(one.record), LogRecord)]
    zone = ZoneInfo(ask.documents.system.timezone)
    told = [
        f"{ask.name}: {record.method} {record.set} of {_moment(record.not_after, zone)} goes ({why})"
        for record, why in sets[:_NAMED]
    ]
    if len(sets) > _NAMED:
        told.append(f"{ask.name}: {len(sets) - _NAMED} more sets go")
    if ranges:
        first, last = min(one.covers_until for one in ranges), max(one.covers_until for one in ranges)
        what = f"{len(ranges)} ranges of log go" if len(ranges) > 1 else "1 range of log goes"
        told.append(f"{ask.name}: {what}, from {_moment(first, zone)} to {_moment(last, zone)}")
    if going:
        gone = [one.record for one in going]
        before, after = engine.points(ask.look.shelf), engine.points(without(ask.look.shelf, gone))
        told.append(f"{ask.name} goes back to {_windows(before, zone)} now, to {_windows(after, zone)} without them")
        told.append(f"{ask.name}: {sized(_bytes(ask, gone))} become free, over all repositories")
    return told


def _moment(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _windows(spans: Sequence[Window], zone: ZoneInfo) -> str:
    shown = [" … ".join(dict.fromkeys((_moment(one.begin, zone), _moment(one.end, zone)))) for one in spans]
    if len(shown) > 4:
        shown = [*shown[:2], f"{len(shown) - 3} more", shown[-1]]
    return ", ".join(shown) or "nothing"


def _locked(ask: Ask) -> dict[str, datetime]:
    """Id of each record to the last moment at which some repository keeps it locked."""
    found: dict[str, datetime] = {}
    for (_repository, record), until in locks.known(ask.look.shelf.records).items():
        found[record] = max(found.get(record, until), until)
    return found


def _still_locked(ask: Ask, locked: Mapping[str, datetime]) -> PlanFinding:
    last = _moment(max(locked.values()), ZoneInfo(ask.documents.system.timezone))
    return PlanFinding(
        severity="note",
        code="expired-but-locked",
        summary="what expired is locked in a repository, and is deleted once that ends",
        detail=f"{ask.name}: {_count(ask, list(locked))}, the last until {last}",
        hint="nothing has to be done",
        subject=ask.name,
    )


def _stopped(ask: Ask, why: str) -> PlanFinding:
    return PlanFinding(
        severity="warning",
        code="prune-stopped",
        summary="nothing of a store expires for now",
        detail=f"{ask.name}: {why}",
        hint="it goes on by itself once that is over",
        subject=ask.name,
    )


def _later(ask: Ask, found: Retention, engine: StoreSpec) -> list[PlanFinding]:
    if not found.later:
        return []
    when = (
        f"from {_moment(found.later_from, ZoneInfo(ask.documents.system.timezone))} on"
        if found.later_from is not None
        else "some time after the next backup, which is the first to know of it"
    )
    return [
        PlanFinding(
            severity="note",
            code="retention-shortened",
            summary="backups are kept shorter than they were promised, and some will go for it",
            detail=f"{ask.name}: {when}: {'; '.join(_told(ask, engine, found.later))}",
            hint="lengthen 'retain' again to keep them, or 'aegis prune --accept-shorter' to let them go now",
            subject=ask.name,
        )
    ]
