"""Back to a moment: what was committed before it is there and what came after it is not, over a full, incrementals and
log, in place and beside, on the first timeline and on those that restores began."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.thread.beside import rows_beside
from tests.thread.history import QUERY, TABLE, History, Row, protected_again
from tests.thread.world import World, world

SEOUL = ZoneInfo("Asia/Seoul")


@dataclass
class Past:
    """A store with a full, two incrementals and log, and what it held at several moments."""

    world: World
    first: History
    moments: dict[str, datetime]

    def beside(self, moment: datetime | str) -> list[Row]:
        text = moment if isinstance(moment, str) else moment.isoformat()
        return rows_beside(self.world, "--to", text, query=QUERY)


@pytest.fixture(scope="module")
def past() -> Iterator[Past]:
    with world() as made:
        made.sql(TABLE)
        history = History(made)
        history.commit(3)
        made.ok("apply", "-y")
        moments = {"between the full and its first log": history.commit(2)}
        history.commit(2)
        made.ok("backup", "policy-db", "--log", "-y")
        moments["behind the first log job"] = history.commit(2)
        history.commit()
        made.ok("backup", "policy-db", "--incremental", "-y")
        moments["between the first incremental and its log"] = history.commit(2)
        history.commit(1)
        made.ok("backup", "policy-db", "--log", "-y")
        moments["between two log jobs"] = history.commit(2)
        history.commit(1)
        made.ok("backup", "policy-db", "--log", "-y")
        history.commit(2)
        made.ok("backup", "policy-db", "--incremental", "-y")
        moments["behind the second incremental"] = history.commit(2)
        moments["the last commit of an idle server"] = history.commit(2)
        time.sleep(1.5)
        made.ok("backup", "policy-db", "--log", "-y")
        yield Past(made, history, moments)


def window_end(made: World) -> datetime:
    """Until when the store can go back, as a refusal tells it."""
    refused = made.aegis("plan", "--store", "policy-db", "--to", "2099-01-01T00:00:00Z")
    assert refused.code == 1, refused.text
    found = re.findall(r"to (\d{4}-\d\d-\d\dT[\d:.]+Z)", refused.text)
    return datetime.fromisoformat(found[-1])


@pytest.mark.parametrize(
    "name",
    [
        "between the full and its first log",
        "behind the first log job",
        "between the first incremental and its log",
        "between two log jobs",
        "behind the second incremental",
        "the last commit of an idle server",
    ],
)
def test_rows_before_a_moment_are_there_and_later_ones_are_not(past: Past, name: str) -> None:
    moment = past.moments[name]
    expected = past.first.at(moment)
    assert past.beside(moment) == expected


def test_a_boundary_is_the_commit_itself(past: Past) -> None:
    """The row's own time is before its commit, the moment noted is behind it; nothing else is between."""
    number = past.first.numbers[8]
    own = past.world.sql("SELECT at FROM numbered WHERE number = %s", number)[0][0]
    assert past.beside(own) == [(one,) for one in past.first.numbers if one < number]
    assert past.beside(past.first.after[number]) == [(one,) for one in past.first.numbers if one <= number]


def test_times_are_read_in_the_systems_zone_and_with_any_offset(past: Past) -> None:
    moment = past.moments["between two log jobs"]
    expected = past.first.at(moment)
    local = moment.astimezone(SEOUL).replace(tzinfo=None).isoformat(sep=" ")
    elsewhere = moment.astimezone(ZoneInfo("America/St_Johns")).isoformat()
    assert past.beside(local) == expected
    assert past.beside(elsewhere) == expected


def test_idle_until_the_end_of_the_log(past: Past) -> None:
    end = window_end(past.world)
    last = past.first.after[past.first.numbers[-1]]
    assert end > last + timedelta(seconds=1)
    assert past.beside(last + timedelta(seconds=1)) == past.first.rows


def test_a_moment_that_no_log_reaches_is_refused(past: Past) -> None:
    made = past.world
    server = made.server.pid
    before = sorted(path.name for path in made.server.data.parent.iterdir())
    late = window_end(made) + timedelta(seconds=5)
    early = past.first.after[past.first.numbers[0]]
    for moment, code in ((late, "target-after-log"), (early, "target-before-first-backup")):
        refused = made.aegis("restore", "policy-db", "--to", moment.isoformat(), "-y")
        assert refused.code == 1, refused.text
        assert code in refused.text
        assert "possible: " in " ".join(refused.text.split())
        assert "Traceback" not in refused.text
    assert made.server.pid == server
    assert sorted(path.name for path in made.server.data.parent.iterdir()) == before
    assert past.first.now() == past.first.rows


def test_timelines(past: Past) -> None:
    """In place on the running server, and onward from there: the old timeline, the new one, and a second fork."""
    made, first = past.world, past.first
    moment = past.moments["between two log jobs"]
    ran = made.ok("restore", "policy-db", "--to", moment.isoformat(), "-y")
    second = first.branch(moment)
    assert second.now() == second.rows == first.at(moment)
    assert "RTA" in ran.text
    assert "RPA" in ran.text
    protected_again(made)
    kept = second.commit(3)
    second.commit(1)
    asked = made.ok("backup", "policy-db", "--log", "-y")
    assert asked.code == 0
    # The first timeline before and after the point where it was left, and the second.
    early = past.moments["behind the first log job"]
    assert past.beside(early) == first.at(early)
    abandoned = past.moments["behind the second incremental"]
    assert past.beside(abandoned) == first.at(abandoned)
    assert past.beside(kept) == second.at(kept)
    assert rows_beside(made, query=QUERY) == second.rows
    # A second fork, from the second timeline.
    made.ok("restore", "policy-db", "--to", kept.isoformat(), "-y")
    third = second.branch(kept)
    assert third.now() == third.rows
    protected_again(made)
    here = third.commit(2)
    third.commit(1)
    made.ok("backup", "policy-db", "--log", "-y")
    assert past.beside(early) == first.at(early)
    assert past.beside(here) == third.at(here)
    # And back to the first timeline, behind the point where it was left, with the server running on the third.
    made.ok("restore", "policy-db", "--to", abandoned.isoformat(), "-y")
    fourth = first.branch(abandoned)
    assert fourth.now() == fourth.rows
    protected_again(made)
    fourth.commit(2)
    made.ok("backup", "policy-db", "--log", "-y")
    rows = fourth.rows
    made.destroy()
    made.ok("apply", "-y", "--scenario", "database-failure")
    assert fourth.now() == rows
    protected_again(made)


def test_a_position_is_what_lies_before_it() -> None:
    """A commit whose record begins at the position came after it; and the end of the log is a position too."""
    with world() as made:
        made.ok("apply", "-y")
        with made.server.connect() as other, other.transaction():
            other.execute("INSERT INTO policies (body) VALUES ('committed after the position')")
            made.insert(3, "before the position")
            position = made.sql("SELECT pg_current_wal_insert_lsn()::text")[0][0]
            rows = made.rows()
        made.ok("backup", "policy-db", "--log", "-y")
        end = made.sql("SELECT pg_current_wal_flush_lsn()::text")[0][0]
        assert rows_beside(made, "--to", position, query="SELECT id, body FROM policies ORDER BY id") == rows
        assert rows_beside(made, "--to", end, query="SELECT id, body FROM policies ORDER BY id") == made.rows()
        assert len(made.rows()) == len(rows) + 1
