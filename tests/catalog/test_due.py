"""When a schedule is due, in the system's own time zone and over its clock changes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aegis_plan.catalog.due import due_since


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "zone", "newest", "now", "due"),
    [
        ("0 2 * * *", "UTC", "2026-11-22T02:00:10", "2026-11-23T01:59:59", None),
        ("0 2 * * *", "UTC", "2026-11-22T02:00:10", "2026-11-23T02:00:00", "2026-11-23T02:00:00"),
        ("0 2 * * *", "UTC", "2026-11-22T01:59:59", "2026-11-22T02:00:00", "2026-11-22T02:00:00"),
        ("0 2 * * *", "Asia/Seoul", "2026-11-22T17:00:01", "2026-11-23T16:59:00", None),
        ("0 2 * * *", "Asia/Seoul", "2026-11-22T17:00:01", "2026-11-23T17:00:00", "2026-11-23T17:00:00"),
        # 02:30 does not exist in Berlin on 2026-03-29: it is due right after the gap, at 03:00 there.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T01:31:00", "2026-03-29T01:00:00", "2026-03-29T01:00:00"),
        # 02:30 comes twice in Berlin on 2026-10-25: it is due once.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:31:00", "2026-10-25T01:45:00", None),
        ("*/15 * * * *", "UTC", "2026-11-22T02:07:00", "2026-11-25T02:07:00", "2026-11-22T02:15:00"),
        # A clock that was set back never makes anything due.
        ("*/15 * * * *", "UTC", "2026-11-22T02:07:00", "2026-11-21T02:07:00", None),
    ],
)
def test_due(schedule: str, zone: str, newest: str, now: str, due: str | None) -> None:
    assert due_since(schedule, zone, utc(newest), utc(now)) == (utc(due) if due else None)


def test_without_a_newest_one_it_is_due_now() -> None:
    assert due_since("0 2 * * *", "UTC", None, utc("2026-11-22T05:00:00")) == utc("2026-11-22T05:00:00")
