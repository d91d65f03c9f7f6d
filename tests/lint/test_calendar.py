"""The longest gap of schedules equals the one that a walk over every moment finds."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError

from aegis_plan.documents.lint.calendar import first_common, longest_gap

MINUTES = ["0", "30", "*/15", "5,35", "59", "*/7", "10-50/20"]
HOURS = ["2", "*", "*/6", "1-23/2", "0,12", "8-17", "23"]
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York",
    # Half an hour; at midnight; once a year, and back again.
    "Australia/Lord_Howe", "Africa/Cairo", "America/Santiago", "Asia/Beirut", "America/Havana", "Africa/Casablanca",
]  # fmt: skip
OFTEN = ["*/5 * * * *", "0 * * * *", "0 */1 * * *", "30 */2 * * *", "0 */6 * * *", "*/5 22-23 * * *", "30 1 * * *"]
DAYS = ["*", "*", "1", "15", "L", "31", "*/5"]
MONTHS = ["*", "*", "*/3", "2", "1,7"]
WEEKDAYS = ["*", "*", "0", "1-6", "1-5", "5#2", "5L"]


def moments(schedules: list[str], begin: datetime, end: datetime) -> list[datetime]:
    found = set()
    for schedule in schedules:
        for moment in CronSim(schedule, begin - timedelta(minutes=1)):
            if moment >= end:
                break
            found.add(moment.astimezone(UTC))
    return sorted(found)


@pytest.mark.parametrize("zone", ZONES)
def test_it_equals_a_walk_over_every_moment(zone: str, sweep: bool) -> None:
    chance = random.Random(4)
    begin, end = datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)), datetime(2028, 1, 2, tzinfo=ZoneInfo(zone))
    tried = [[often] for often in (OFTEN if sweep else OFTEN[2:5])]
    tried += [
        [
            " ".join(chance.choice(field) for field in (MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS))
            for _ in range(chance.choice([1, 1, 2]))
        ]
        for _ in range(200 if sweep else 4)
    ]
    for schedules in tried:
        try:
            walked = moments(schedules, begin, end)
        except CronSimError:
            continue  # the 31st of February, which no document can have
        longest = max((two - one for one, two in pairwise(walked)), default=None)
        gap = longest_gap(tuple(schedules), zone, 2026)
        assert (gap.span if gap is not None else None) == longest, schedules
        if gap is not None:
            first = gap.begin.replace(tzinfo=ZoneInfo(zone))
            readings = {first.astimezone(UTC), first.replace(fold=1).astimezone(UTC)}
            assert readings & {one for one, two in pairwise(walked) if two - one == longest}, schedules


@pytest.mark.parametrize(
    ("schedule", "zone", "span"),
    [
        ("0 2 * * 1-6", "Asia/Seoul", timedelta(hours=48)),
        ("0 2 * * *", "Asia/Seoul", timedelta(hours=24)),
        ("0 12 * * *", "Europe/Berlin", timedelta(hours=25)),  # over the night in which clocks go back
        ("0 0,6,12,18 * * *", "Europe/Berlin", timedelta(hours=7)),
        ("*/15 * * * *", "Europe/Berlin", timedelta(minutes=15)),  # follows real time
        ("0 */1 * * *", "Australia/Lord_Howe", timedelta(hours=1, minutes=30)),  # back by half an hour
        ("*/30 * * * *", "Africa/Cairo", timedelta(minutes=30)),  # at midnight
        ("*/15 2 * * *", "Europe/Berlin", timedelta(hours=46, minutes=15)),  # the hour that is skipped
        ("0 2 1 */3 *", "UTC", timedelta(days=92)),
    ],
)
def test_gaps_that_people_get_wrong(schedule: str, zone: str, span: timedelta) -> None:
    gap = longest_gap((schedule,), zone, 2026)
    assert gap is not None
    assert gap.span == span
    walked = moments([schedule], datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)), datetime(2026, 12, 1, tzinfo=UTC))
    assert max(two - one for one, two in pairwise(walked)) == span


def test_what_happens_once_or_never_has_no_gap() -> None:
    assert longest_gap(("0 0 29 2 *",), "UTC", 2026) is None


def test_the_next_minute_that_two_schedules_share() -> None:
    now = datetime(2026, 11, 24, 12, tzinfo=ZoneInfo("Asia/Seoul"))
    assert first_common("0 2 * * 0", "0 2 1 * *", now) == datetime(2027, 8, 1, 2)  # noqa: DTZ001  # on the wall
    assert first_common("0 2 * * *", "0 2 24 11 *", now) == datetime(2027, 11, 24, 2)  # noqa: DTZ001  # today's is over
    assert first_common("0 2 * * *", "30 * * * *", now) is None
