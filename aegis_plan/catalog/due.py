"""Whether a schedule is due. Pure: the present is passed in, and schedules are read in the system's time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim


def due_since(schedule: str, timezone: str, newest: datetime | None, now: datetime) -> datetime | None:
    """The first moment after `newest` that the schedule names, where it has passed; None when nothing is due.

    Without a newest one it is due now. Where clocks go forward, what falls into the gap is due right after it; where
    they go back, it is due once."""
    if newest is None:
        return now
    if newest >= now:
        return None
    following = next(CronSim(schedule, newest.astimezone(ZoneInfo(timezone))), None)
    if following is None:
        return None
    moment = following.astimezone(UTC)
    return moment if moment <= now else None
