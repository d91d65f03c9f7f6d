"""Cron schedules over two years: on which days, at which minutes, how long nothing happens. Pure; it never asks for
the present.

A schedule is the same every day on which it happens, so that a year costs days and not minutes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

_DAYS = 731


@dataclass(frozen=True)
class Calendar:
    """When a schedule happens, by the clock on the wall."""

    days: tuple[date, ...]
    minutes: tuple[int, ...]
    """Minutes of such a day, ascending."""
    fixed: bool
    """It names minutes and hours, so that daylight saving moves them; others follow real time."""


@dataclass(frozen=True)
class Gap:
    """The longest time between two moments of a schedule."""

    span: timedelta
    begin: datetime
    """The first time that it is so long, by the clock on the wall."""
    always: bool
    """Whether all gaps are this long."""


@lru_cache(maxsize=1024)
def calendar(schedule: str, year: int) -> Calendar:
    """The days from the first of January of a year on, for two years."""
    from cronsim import CronSim

    cron = CronSim(schedule, datetime(year, 1, 1, tzinfo=UTC))
    hours, minutes = sorted(cron.hours), sorted(cron.minutes)
    return Calendar(
        _days(*schedule.split()[2:], year=year),
        tuple(hour * 60 + minute for hour in hours for minute in minutes),
        not any(part.startswith("*") for part in schedule.split()[:2]),
    )


@lru_cache(maxsize=1024)
def _days(day_of_month: str, month: str, weekday: str, *, year: int) -> tuple[date, ...]:
    """Most schedules are daily or weekly, whatever their minute is."""
    from cronsim import CronSim

    first = date(year, 1, 1)
    cron = CronSim(f"0 0 {day_of_month} {month} {weekday}", datetime(year, 1, 1, tzinfo=UTC))
    days = (first + timedelta(days=count) for count in range(_DAYS))
    return tuple(day for day in days if day.month in cron.months and cron.match_day(day))


@lru_cache(maxsize=1024)
def longest_gap(schedules: tuple[str, ...], timezone: str, year: int) -> Gap | None:
    """The longest time within the year and the one after it in which none of the schedules happens.

    None where they happen less than twice."""
    calendars = [calendar(schedule, year) for schedule in schedules]
    on: dict[date, frozenset[int]] = {}
    for index, one in enumerate(calendars):
        for day in one.days:
            on[day] = on.get(day, frozenset()) | {index}
    minutes = {which: _together(calendars, which) for which in set(on.values())}
    gaps = {which: _within(times) for which, times in minutes.items()}
    zone = ZoneInfo(timezone)
    shifts = shifted_days(timezone, year)
    fixed = all(one.fixed for one in calendars)
    best: tuple[timedelta, datetime] | None = None
    least: timedelta | None = None
    before: datetime | None = None
    known: date | None = None
    for day in sorted(on):
        times = minutes[on[day]]
        begin, end = _at(day, times[0]), _at(day, times[-1])
        found: list[tuple[timedelta, datetime]] = []
        if before is not None and known is not None:
            crossed = any(known <= shift <= day for shift in shifts)
            found.append((_real(before, begin, zone) if crossed else begin - before, before))
        if gaps[on[day]] is not None:
            longest, at, shortest = gaps[on[day]] or (0, 0, 0)
            found.append((timedelta(minutes=longest), _at(day, at)))
            least = min(least or timedelta.max, timedelta(minutes=shortest))
            if fixed and day in shifts:
                moments = [_at(day, minute) for minute in times]
                found += [(_real(one, two, zone), one) for one, two in pairwise(moments)]
        for span, at_moment in found:
            least = min(least or timedelta.max, span)
            if best is None or span > best[0]:
                best = (span, at_moment)
        before, known = end, day
    return Gap(best[0], best[1], best[0] == least) if best is not None else None


def _together(calendars: list[Calendar], which: frozenset[int]) -> tuple[int, ...]:
    if len(which) == 1:
        return calendars[next(iter(which))].minutes
    return tuple(sorted({minute for index in which for minute in calendars[index].minutes}))


def _within(minutes: tuple[int, ...]) -> tuple[int, int, int] | None:
    """The longest gap within a day, where it begins, and the shortest."""
    gaps = [(two - one, one) for one, two in pairwise(minutes)]
    if not gaps:
        return None
    longest = max(gap for gap, _ in gaps)
    return longest, next(at for gap, at in gaps if gap == longest), min(gap for gap, _ in gaps)


def _at(day: date, minute: int) -> datetime:
    return datetime(day.year, day.month, day.day, minute // 60, minute % 60)  # noqa: DTZ001  # on the wall


def _real(begin: datetime, end: datetime, zone: ZoneInfo) -> timedelta:
    return end.replace(tzinfo=zone).astimezone(UTC) - begin.replace(tzinfo=zone).astimezone(UTC)


@lru_cache(maxsize=64)
def shifted_days(timezone: str, year: int) -> dict[date, timedelta]:
    """Days on which clocks are moved within two years, and by how much: forward is more than nothing."""
    zone = ZoneInfo(timezone)
    found = {}
    first = datetime(year, 1, 1, tzinfo=zone)
    for count in range(_DAYS):
        day = first + timedelta(days=count)
        moved = ((day + timedelta(days=1)).utcoffset() or timedelta()) - (day.utcoffset() or timedelta())
        if moved:
            found[day.date()] = moved
    return found


@lru_cache(maxsize=4096)
def first_common(one: str, other: str, now: datetime) -> datetime | None:
    """The next minute, by the clock on the wall, at which both schedules happen; `now` is aware and in their zone."""
    first, second = calendar(one, now.year), calendar(other, now.year)
    minutes = sorted(set(first.minutes) & set(second.minutes))
    if not minutes:
        return None
    wall = now.replace(tzinfo=None)
    for day in sorted(set(first.days) & set(second.days)):
        if day >= wall.date():
            for minute in minutes:
                if _at(day, minute) > wall:
                    return _at(day, minute)
    return None
