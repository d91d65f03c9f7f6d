"""Weeks, or a month and more, of the source plan's schedule, over the night on which clocks go back, with a killed
scheduler whose standby takes over. Every decision is the product's own; the clock is simulated."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from aegis_plan.catalog.due import moments
from aegis_plan.catalog.living import living
from aegis_plan.catalog.schedule_record import ScheduleRecord, expired
from aegis_plan.cli.main import main
from aegis_plan.stores.postgresql.positions import parse
from tests.schedule.month import DOCUMENTS, Month, _Driver, local

pytestmark = pytest.mark.timeout(3600)
BEGIN, LONG_BEGIN = local("2026-10-17 12:00"), local("2026-09-26 12:00")
"""With --sweep it is well over a month, in which fulls go too, and people write all the time."""
END = local("2026-11-04 12:00")
DIES = local("2026-10-18 01:59")
"""A Sunday: the full that begins then is the one in which the scheduler is killed."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="aegis-month-", dir=memory if memory.is_dir() else None))
    (made / "plans").mkdir()
    (made / "plans" / "aegis.yaml").write_text(DOCUMENTS)
    yield made
    shutil.rmtree(made)


def busy_hours(moment: datetime) -> bool:
    """People write now and then, so that most log jobs have nothing to do."""
    return moment.hour % 2 == 0 and moment.minute == 0


@pytest.fixture(scope="module")
def month(folder: Path, request: pytest.FixtureRequest) -> Iterator[Month]:
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    for name in ("here", "there"):
        (folder / name).mkdir()
    assert main(["keys", "new", "seoul", "--dir", "site", "--documents", "plans/sealing.yaml"]) == 0
    always = request.config.getoption("--sweep")
    made = Month(folder, LONG_BEGIN if always else BEGIN, (lambda _moment: True) if always else busy_hours)
    patch.setattr("aegis_plan.cli.applying.carry_out", made.carry_out)
    patch.setattr("aegis_plan.actions.backup.driver", lambda engine: _Driver(made.server, engine))
    from aegis_plan.stores.milvus.spec import SPEC as MILVUS
    from aegis_plan.stores.neo4j.spec import SPEC as NEO4J

    patch.setattr(type(MILVUS), "built", True)
    patch.setattr(type(NEO4J), "built", True)
    made.server.kill.add(DIES)
    made.add("seoul")
    made.clock.sleep(5)
    made.add("busan")
    made.run_until(END)
    yield made
    patch.undo()


def due_moments(schedule: str, begin: datetime) -> list[datetime]:
    return list(takewhile(lambda moment: moment < END, moments(schedule, "Europe/Berlin", begin)))


def made_for(month: Month, store: str, aspect: str) -> list[ScheduleRecord]:
    """Due runs of one store that ended well, oldest first."""
    found = [one for one in month.history if (one.store, one.aspect) == (store, aspect)]
    assert [one.code for one in found if not one.well] in ([], ["run-killed"])
    return [one for one in found if one.well]


def names(month: Month, store: str, method: str) -> list[str]:
    """The day, in Berlin, of each set that is neither marked as expired nor deleted."""
    alive = living(month.shelf(store))
    zone = ZoneInfo("Europe/Berlin")
    held = [one for one in alive.sets if alive.held(one.id) and one.method == method]
    return [f"{one.begun.astimezone(zone):%m-%d}" for one in sorted(held, key=lambda one: one.begun)]


@pytest.mark.parametrize(
    ("store", "schedules"),
    [
        ("policy-db", ["0 2 * * 0", "0 2 * * 1-6"]),
        ("policy-graph", ["0 3 * * *"]),
        ("policy-vectors", ["0 4 * * *"]),
    ],
)
def test_each_moment_of_the_sets_was_kept_once(month: Month, store: str, schedules: list[str]) -> None:
    wanted = sorted(moment for schedule in schedules for moment in due_moments(schedule, month.begin))
    done = [one for one in made_for(month, store, "data") if one.verdict == "done"]
    if done[0].due[0].last is None:  # before any moment; that of policy-db may have come with the first log
        del done[0]
    for moment, record in zip(wanted, done, strict=True):
        late = record.begun - moment
        allowed = timedelta(hours=2) if moment == DIES + timedelta(minutes=1) else timedelta(minutes=10)
        assert timedelta() <= late <= allowed, (moment, record)
        assert moment in {due.since for due in record.due}


def test_the_night_of_the_clock_change_has_a_hundred_quarters(month: Month) -> None:
    begin, end = local("2026-10-25 00:00"), local("2026-10-26 00:00")
    assert end - begin == timedelta(hours=25)
    records = [one for one in made_for(month, "policy-db", "log") if begin <= one.due[-1].since < end or one.missed]
    moments_of_it = [one for one in due_moments("*/15 * * * *", month.begin) if begin <= one < end]
    assert len(moments_of_it) == 100
    begun = Counter(int((one.begun - begin) / timedelta(minutes=15)) for one in records if begin <= one.begun < end)
    assert set(begun) == set(range(100))
    assert max(begun.values()) == 1
    # The full of that Sunday, at the hour that comes twice, was taken once.
    assert names(month, "policy-db", "full").count("10-25") == 1


def test_a_standby_took_over_and_made_up_once_what_was_missed(month: Month) -> None:
    killed = next(at for at, kind, _, _ in month.told if kind == "killed")
    leading = [at for at, kind, message, _ in month.told if kind == "leading" and message.startswith("busan")]
    assert killed < leading[0] <= killed + timedelta(hours=1, minutes=11)
    log = made_for(month, "policy-db", "log")
    late = [one for one in log if one.missed]
    first = next(one for one in log if one.begun >= leading[0])
    assert first.begun - leading[0] <= timedelta(minutes=15)
    if first in late:
        assert first.missed >= 2
    epochs = [data["epoch"] for _, kind, _, data in month.told if kind == "leading"]
    assert epochs == sorted(epochs)
    # What the killed one had written of a set has no record, and counts for nothing.
    assert names(month, "policy-db", "full").count("10-18") == 1


def test_the_right_sets_are_kept(month: Month) -> None:
    # The newest that is older than four weeks leads to the whole of them.
    first = ["10-04", "10-11"] if month.begin == LONG_BEGIN else ["10-17"]
    assert names(month, "policy-db", "full") == [*first, "10-18", "10-25", "11-01"]
    # Those of a week; the one before, from which the week leads on; and what that one builds on.
    assert names(month, "policy-db", "incremental") == [
        "10-26", "10-27", "10-28", "10-29", "10-30", "10-31", "11-02", "11-03", "11-04",
    ]  # fmt: skip
    # At the last run the one of a week ago was a few seconds younger than that; the one before leads to it.
    week = ["10-27", "10-28", "10-29", "10-30", "10-31", "11-01", "11-02", "11-03", "11-04"]
    assert names(month, "policy-graph", "full") == week
    assert names(month, "policy-vectors", "full") == week


def test_older_log_is_gone_but_for_what_sets_were_made_during(month: Month) -> None:
    alive = living(month.shelf("policy-db"))
    sets = sorted((one for one in alive.sets if alive.held(one.id)), key=lambda one: one.not_after)
    # By the last plan that prunes, of the night: the log leads on from the last set before the three days.
    leads = [one for one in sets if one.not_after <= END - timedelta(days=4)][-1]
    log = [one for one in alive.log if alive.held(one.id)]
    before = [one for one in log if parse(one.end) < parse(leads.begin)]
    older = sets[: sets.index(leads)]
    assert older
    # One range in which a set was made, and one that ends where it begins.
    assert len(before) <= 2 * len(older)
    covered = {made.set for made in older for one in log if parse(one.begin) <= parse(made.begin) < parse(one.end)}
    assert covered == {made.set for made in older}


def test_what_is_kept_leads_to_every_moment_of_three_days(month: Month) -> None:
    from aegis_plan.stores.specs import spec

    windows = spec("postgresql").points(month.shelf("policy-db"))
    assert any(one.begin <= END - timedelta(days=3) and one.end >= END - timedelta(hours=3) for one in windows)


def test_what_went_is_gone_from_the_repositories(month: Month) -> None:
    """But for what was marked on the last day, whose grace is not over."""
    for name in ("here", "there"):
        kept = {path.name for path in (month.folder / name).glob("v1/aegis/stores/policy-graph/*/sets/*")}
        assert {one[:8] for one in kept} == {f"202610{day}" for day in range(25, 32)} | {
            f"2026110{day}" for day in range(1, 5)
        }


def test_the_history_tells_an_auditor(month: Month) -> None:
    found = month.history
    assert {(one.store, one.aspect) for one in found} == {
        ("policy-db", "data"), ("policy-db", "log"), ("policy-graph", "data"), ("policy-vectors", "data"),
    }  # fmt: skip
    assert all(one.run for one in found if one.verdict == "done")
    day = f"{month.begin:%Y-%m-%d}"
    days = {f"{one.ended:%Y-%m-%d}" for one in found}
    assert expired(days, END + timedelta(days=1), timedelta(days=1)) == tuple(sorted(days - {f"{END:%Y-%m-%d}"}))
    assert day in days
