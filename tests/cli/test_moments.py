"""Times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aegis_plan.cli.moments import parse_moment
from aegis_plan.errors import UsageError


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2026-11-23 14:05", "Asia/Seoul", "2026-11-23T05:05:00"),
        ("2026-11-23T14:05:30", "UTC", "2026-11-23T14:05:30"),
        ("2026-11-23T14:05:00+09:00", "America/New_York", "2026-11-23T05:05:00"),
        ("2026-11-23T05:05Z", "Asia/Seoul", "2026-11-23T05:05:00"),
        ("2026-11-01 00:30", "America/New_York", "2026-11-01T04:30:00"),
        # As they are shown.
        ("2026-11-24 16:39:59.417473 KST", "Asia/Seoul", "2026-11-24T07:39:59.417473"),
        ("2026-11-24 07:39 UTC", "Asia/Seoul", "2026-11-24T07:39:00"),
        ("2026-11-01 01:30:00 EDT", "America/New_York", "2026-11-01T05:30:00"),
        ("2026-11-01 01:30:00 EST", "America/New_York", "2026-11-01T06:30:00"),
    ],
)
def test_reads(text: str, zone: str, utc: str) -> None:
    assert parse_moment(text, zone) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "zone", "code"),
    [
        ("yesterday", "UTC", "time-unreadable"),
        ("", "UTC", "time-unreadable"),
        ("2026-02-30 10:00", "UTC", "time-unreadable"),
        ("2026-11-24 16:39:59 PST", "Asia/Seoul", "time-unreadable"),
        ("2026-03-08 02:30 EST", "America/New_York", "time-unreadable"),  # never
        ("2026-11-01 01:30", "America/New_York", "time-ambiguous"),  # twice
        ("2026-03-08 02:30", "America/New_York", "time-ambiguous"),  # never
    ],
)
def test_refuses(text: str, zone: str, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_moment(text, zone)
    assert caught.value.code == code
    assert caught.value.hint
