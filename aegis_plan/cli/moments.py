"""Times as people type them, read in the system's time zone and given back with it."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from aegis_plan.errors import UsageError


def parse_moment(text: str, zone: str) -> datetime:
    """`2026-11-23 14:05`, `2026-11-23T14:05:00+09:00`, `2026-11-23T05:05Z` as UTC.

    Raises UsageError `time-unreadable`, or `time-ambiguous` for a local time that the clock change makes happen
    twice or never.
    """
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            "time-unreadable",
            "not a time",
            f"'{text}' cannot be read",
            "write it as '2026-11-23 14:05', or with an offset as 2026-11-23T14:05:00+09:00",
        ) from None
    if read.tzinfo is not None:
        return read.astimezone(UTC)
    local = read.replace(tzinfo=ZoneInfo(zone))
    again = local.astimezone(UTC).astimezone(ZoneInfo(zone))
    if local.utcoffset() != local.replace(fold=1).utcoffset() or again.replace(tzinfo=None) != read:
        raise UsageError(
            "time-ambiguous",
            "this local time happens twice or never",
            f"the clock of {zone} changes at '{text}'",
            "add the offset that you mean, such as +02:00",
        )
    return local.astimezone(UTC)
