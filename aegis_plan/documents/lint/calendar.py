"""Cron schedules over two years: on which days, at which minutes, how long nothing happens. Pure; it never asks for
the present.

A schedule is the same every day on which it happens, so that a year costs days and not minutes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

_DAYS = 731


@dataclass(frozen=True)
class Calendar:
    """When a schedule happens, by the clock on the wall."""

    days: tuple[date, ...]
    minutes: tuple[int, ...]
    """Minutes of such a day, ascending."""
    hourly: bool
    """It comes every hour of every day, and follows real time where clocks are moved."""


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
    days = _days(*schedule.split()[2:], year=year)
    return Calendar(
        days,
        tuple(hour * 60 + minute for hour in hours for minute in minutes),
        len(days) == _DAYS and len(hours) == 24 and schedule.split()[1].startswith("*"),
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
    # Also for what comes every hour: where clocks go back by half an hour, it comes an hour and a half apart.
    shifts = shifted_days(timezone, year)
    days = sorted(on)
    found: list[tuple[timedelta, datetime]] = []
    for day, following in pairwise(days):
        if not any(day <= shift <= following for shift in shifts):
            end, begin = _at(day, minutes[on[day]][-1]), _at(following, minutes[on[following]][0])
            found.append((begin - end, end))
    for day in days:
        if (inside := gaps[on[day]]) is not None and day not in shifts:
            longest, at, shortest = inside
            found += [(timedelta(minutes=shortest), _at(day, at)), (timedelta(minutes=longest), _at(day, at))]
    for shift in shifts:
        found += _walked(schedules, timezone, shift, days)
    if not found:
        return None
    span = max(gap for gap, _ in found)
    return Gap(span, min(begin for gap, begin in found if gap == span), span == min(gap for gap, _ in found))


def _walked(
    schedules: tuple[str, ...], timezone: str, shift: date, days: list[date]
) -> Iterator[tuple[timedelta, datetime]]:
    """The gaps around a day on which clocks are moved, as the schedules themselves tell them."""
    from cronsim import CronSim

    before = [day for day in days if day < shift][-1:] or [shift]
    after = [day for day in days if day > shift][:1] or [shift]
    zone = ZoneInfo(timezone)
    begin = datetime.combine(before[0], time(), zone) - timedelta(minutes=1)
    end = datetime.combine(after[0] + timedelta(days=1), time(), zone)
    moments = set()
    for schedule in schedules:
        moments |= {moment.astimezone(UTC) for moment in takewhile(lambda at: at < end, CronSim(schedule, begin))}
    for one, other in pairwise(sorted(moments)):
        yield other - one, one.astimezone(zone).replace(tzinfo=None)


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
