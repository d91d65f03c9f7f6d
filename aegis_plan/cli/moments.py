"""Times as people type them, read in the system's time zone and given back with it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from aegis_plan.errors import UsageError


def parse_moment(text: str, zone: str) -> datetime:
    """`2026-11-23 14:05`, `2026-11-23T14:05:00+09:00`, `2026-11-23T05:05Z` as UTC; and `2026-11-23 14:05 KST`, as times
    are shown, where that is what the system's zone was called then.

    Raises UsageError `time-unreadable`, or `time-ambiguous` for a local time that the clock change makes happen
    twice or never.
    """
    plain, word = text.strip(), ""
    if named := re.fullmatch(r"(.*\d) ([A-Z]{2,6})", plain):
        plain, word = named.groups()
    try:
        read = datetime.fromisoformat(plain)
        if word and (read.tzinfo is not None or word not in _words(read, zone)):
            raise ValueError
    except ValueError:
        raise UsageError(
            "time-unreadable",
            "not a time",
            f"'{text}' cannot be read",
            "write it as '2026-11-23 14:05', or with an offset as 2026-11-23T14:05:00+09:00",
        ) from None
    if read.tzinfo is not None:
        return read.astimezone(UTC)
    if word:
        return _words(read, zone)[word]
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


def _words(read: datetime, zone: str) -> dict[str, datetime]:
    """What a local time can mean, by the name that its zone has then; where clocks are put back there are two."""
    found = {"UTC": read.replace(tzinfo=UTC)}
    for fold in (1, 0):
        local = read.replace(tzinfo=ZoneInfo(zone), fold=fold)
        there = local.astimezone(UTC)
        if there.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0) == read.replace(fold=0):
            found[local.tzname() or zone] = there
    return found
