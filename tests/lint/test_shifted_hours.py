"""What lint says of hours that are skipped or repeated is what the product does there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from lint_case import found

from aegis_plan.catalog.due import due_since

STORE = """\
aegis: v1
system: {timezone: Europe/Berlin}
stores:
  main:
    engine: postgresql
    members: {one: {site: seoul, connection: "${env:MAIN}"}}
    backup:
      repositories: [near, far]
      full: {schedule: "SCHEDULE"}
"""


@pytest.mark.parametrize(
    ("schedule", "spring", "autumn"),
    [("30 2 * * *", "due right after", "due once"), ("*/30 2 * * *", "left out", "due both times")],
)
def test_what_becomes_of_them(schedule: str, spring: str, autumn: str, tmp_path: Path) -> None:
    text = STORE.replace("SCHEDULE", schedule)
    (told,) = [one for one in found(text, tmp_path) if one.code == "schedule-in-shifted-hour"]
    assert f"on Sun 2027-03-28 does not exist, and it is {spring}" in told.detail
    assert f"on Sun 2027-10-31 comes twice, and it is {autumn}" in told.detail
    # The last one before the gap was on the 27th; between 03:00 and 04:00 it is due or it is not.
    before, after = datetime(2027, 3, 27, 12, tzinfo=UTC), datetime(2027, 3, 28, 2, tzinfo=UTC)
    assert (due_since(schedule, "Europe/Berlin", before, after) is not None) is (spring == "due right after")
    # Done at the last one of the first reading; the second reading ends at 03:00, an hour later.
    done, end = datetime(2027, 10, 31, 0, 45, tzinfo=UTC), datetime(2027, 10, 31, 2, tzinfo=UTC)
    assert (due_since(schedule, "Europe/Berlin", done, end) is not None) is (autumn == "due both times")
