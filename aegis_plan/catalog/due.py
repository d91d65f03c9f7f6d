"""When a schedule is due. Pure: the present is passed in, and schedules are read in the system's time zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim

MOST = 10_000
"""Moments that are counted; a log job every minute passes so many in a week, and beyond it is late in any case."""


CLOCKS_DIFFER = timedelta(minutes=5)
"""So far ahead of ours the clock of another host may be."""


def ahead(moment: datetime, now: datetime) -> bool:
    """Whether something says that it was done later than now: a clock was wrong then, and is no more. It must not keep
    from being due what really was not done since."""
    return moment > now + CLOCKS_DIFFER


def moments(schedule: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Every moment after `after` that the schedule names, in UTC.

    Where clocks go forward, what falls into the gap comes right after it; where they go back, it comes once."""
    for moment in CronSim(schedule, after.astimezone(ZoneInfo(timezone))):
        yield moment.astimezone(UTC)


@lru_cache(maxsize=1 << 10)
def next_moment(schedule: str, timezone: str, after: datetime) -> datetime | None:
    """The first moment after `after`; None for a schedule that names none any more."""
    return next(moments(schedule, timezone, after), None)


def passed(schedule: str, timezone: str, newest: datetime, now: datetime) -> tuple[datetime, ...]:
    """The moments after `newest` that have passed, at most `MOST`; none where a clock was set back."""
    if newest >= now or (first := next_moment(schedule, timezone, newest)) is None or first > now:
        return ()
    return tuple(islice(takewhile(lambda moment: moment <= now, moments(schedule, timezone, newest)), MOST))


def due_since(schedule: str, timezone: str, newest: datetime | None, now: datetime) -> datetime | None:
    """The first moment after `newest` that the schedule names, where it has passed; None when nothing is due.

    Without a newest one it is due now."""
    if newest is None:
        return now
    if newest >= now:
        return None
    moment = next_moment(schedule, timezone, newest)
    return moment if moment is not None and moment <= now else None
