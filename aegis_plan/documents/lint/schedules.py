"""Schedules against each other and against the clock: heavy work at one minute, and hours that daylight saving skips or
repeats. Dates are counted from the present that is passed in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from aegis_plan.documents.lint.calendar import calendar, first_common, shifted_days
from aegis_plan.documents.lint.rule import Wrong, rule
from aegis_plan.documents.lint.scope import Scope
from aegis_plan.documents.lint.words import listed
from aegis_plan.documents.tree import Path

_MOST = 400
"""Jobs that are held against each other; beyond that pairs tell nobody anything."""


@dataclass(frozen=True)
class _Job:
    name: str
    path: Path
    schedule: str
    sites: frozenset[str]
    repositories: frozenset[str]


def _heavy(scope: Scope) -> Iterator[_Job]:
    """Full backups and drills, with what they load."""
    stores = scope.documents.stores
    for name, store, backup in scope.backups():
        if backup.full is not None and backup.full.schedule is not None:
            chosen = backup.from_member or store.preferred
            member = store.members.get(chosen or "")
            sites = {member.site} if member is not None else {one.site for one in store.members.values()}
            sites = sites if len(sites) == 1 else set()  # which one is read is not declared
            yield _Job(
                f"the full backup of {name}",
                ("stores", name, "backup", "full", "schedule"),
                backup.full.schedule,
                frozenset(sites),
                frozenset(backup.repositories),
            )
    for name, drill in scope.documents.drills.items():
        scenario = scope.documents.scenarios.get(drill.scenario or "")
        used = drill.stores or (scope.affected(scenario) if scenario is not None else list(stores))
        restored = [stores[store].backup for store in used] if drill.kind != "failover" else []
        yield _Job(
            f"the drill {name}",
            ("drills", name, "schedule"),
            drill.schedule,
            frozenset([drill.site] if drill.site is not None else []),
            frozenset(one for backup in restored if backup is not None for one in backup.repositories),
        )


@rule("schedules-collide", "warning", "heavy work begins at the very same minute")
def schedules_collide(scope: Scope) -> Iterator[Wrong]:
    jobs = list(_heavy(scope))[:_MOST]
    told: set[Path] = set()
    for index, one in enumerate(jobs):
        for other in jobs[index + 1 :]:
            shared = sorted(one.sites & other.sites) or sorted(one.repositories & other.repositories)
            if not shared or other.path in told:
                continue
            moment = first_common(one.schedule, other.schedule, scope.local)
            if moment is not None:
                told.add(other.path)
                yield Wrong(
                    other.path,
                    f"{other.name} and {one.name} both begin at {moment:%H:%M} on {moment:%a %Y-%m-%d}, and share "
                    f"{listed(shared)}",
                    "move one of them",
                )


def _schedules(scope: Scope) -> Iterator[tuple[Path, str]]:
    for pattern in (("stores", "*", "backup", "*", "schedule"), ("drills", "*", "schedule")):
        for path, node in scope.root.each(pattern):
            if isinstance(node.value, str):
                yield path, node.value


@rule("schedule-in-shifted-hour", "note", "a schedule falls into the hour that daylight saving skips or repeats")
def schedule_in_shifted_hour(scope: Scope) -> Iterator[Wrong]:
    zone = scope.documents.system.timezone
    shifts = shifted_days(zone, scope.local.year)
    for path, schedule in _schedules(scope) if shifts else ():
        found = calendar(schedule, scope.local.year)
        gap = scope.gap(schedule)
        if found.hourly or (gap is not None and gap.span < timedelta(hours=12)):
            continue  # what comes many times a day loses nothing by one moment
        days = set(found.days)
        said: list[tuple[bool, str]] = []
        for day, moved in shifts.items():
            if day not in days or day < scope.local.date():
                continue
            for minute in found.minutes:
                moment = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=scope.local.tzinfo)
                other = moment.replace(fold=1)
                if moment.utcoffset() != other.utcoffset():
                    # In a gap and in a fold the two readings differ.
                    word = _fate(schedule, moved > timedelta())
                    said.append((moved > timedelta(), f"{moment:%H:%M} on {moment:%a %Y-%m-%d} {word}"))
        firsts = [next((text for skips, text in said if skips == which), "") for which in (True, False)]
        if any(firsts):
            yield Wrong(
                path,
                f"{'; '.join(text for text in firsts if text)} ({zone})",
                "choose a time outside that hour, or let system.timezone be one without daylight saving",
            )


def _fate(schedule: str, skipped: bool) -> str:
    """What becomes of such a moment: a schedule that names minute and hour is kept up, others follow the clock."""
    kept = not any(part.startswith("*") for part in schedule.split()[:2])
    if skipped:
        return f"does not exist, and it is {'due right after' if kept else 'left out'}"
    return f"comes twice, and it is due {'once' if kept else 'both times'}"
