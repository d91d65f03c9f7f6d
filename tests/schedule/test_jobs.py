"""When jobs are due by what a catalog holds, how far jitter moves them, and when people are told: all pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_plan.catalog.due import due_since, next_moment, passed
from aegis_plan.catalog.schedule_record import ILL, REMIND, WELL, Notice, ScheduleRecord, Verdict, about, expired
from aegis_plan.plan.aspects import aspect, only
from aegis_plan.plan.plan import Intent
from aegis_plan.plan.protect import plan_protection
from aegis_plan.plan.step import Step
from aegis_plan.schedule.job import Job, again, jitter, jobs, last_done, standing
from tests.plan.world import a_range, a_set, a_tombstone, at, digest_of, documents, member, shelf, snapshot

ZONES = ("UTC", "Europe/Berlin", "Asia/Seoul", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
SCHEDULES = ("*/15 * * * *", "0 2 * * 0", "30 2 * * *", "0 3 * * 1-6", "0 0 1 * *", "5 4 L * *", "0 */6 * * *")


def stands(*records: object, minute: float, **changes: object) -> dict[str, object]:
    found = standing(documents(**changes), {"policy-db": shelf(*records)}, at(minute))  # type: ignore[arg-type]
    return {one.job.kind: one for one in found}


@settings(deadline=None)
@given(
    st.sampled_from(SCHEDULES),
    st.sampled_from(ZONES),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - made aware below
    st.integers(0, 60 * 24 * 7),
)
def test_due_and_passed_agree(schedule: str, zone: str, newest: datetime, minutes: int) -> None:
    newest = newest.replace(tzinfo=UTC)
    now = newest + timedelta(minutes=minutes)
    gone = passed(schedule, zone, newest, now)
    assert due_since(schedule, zone, newest, now) == (gone[0] if gone else None)
    assert all(newest < one <= now for one in gone)
    assert list(gone) == sorted(set(gone))
    following = next_moment(schedule, zone, now)
    assert following is None or following > now
    # Done at the newest moment, nothing is left of those before.
    if gone:
        assert not passed(schedule, zone, gone[-1], now)


@settings(deadline=None)
@given(st.integers(0, 3600 * 12), st.sampled_from(SCHEDULES), st.sampled_from(ZONES), st.text("abcdef", min_size=1))
def test_jitter_keeps_the_promise_of_a_schedule(most: int, schedule: str, zone: str, store: str) -> None:
    declared = documents(schedule={"jitter": f"{most}s"})
    job = Job(store, "log", schedule, zone)
    now = at(0)
    found = jitter(declared, job, now)
    one = next_moment(schedule, zone, now)
    assert one is not None
    other = next_moment(schedule, zone, one)
    assert other is not None
    assert timedelta() <= found <= min(timedelta(seconds=most), (other - one) / 10)
    assert found == jitter(declared, job, now)


def test_jobs_are_the_schedules_of_stores() -> None:
    assert [job.kind for job in jobs(documents())] == ["full", "incremental", "log"]
    assert jobs(documents(), ("another",)) == ()
    streamed = documents(stores__policy_db__backup__log={"stream": "true"})
    assert [job.kind for job in jobs(streamed)] == ["full", "incremental"]


def test_what_was_never_done_is_due() -> None:
    found = stands(minute=60)
    assert all(one.due and one.last is None and not one.missed for one in found.values())  # type: ignore[attr-defined]


def test_many_missed_moments_are_due_once() -> None:
    found = standing(documents(), {"policy-db": shelf(a_set("f", 0, 1, 2), a_range("l", 7, 2, 3))}, at(7 + 60))
    log = next(one for one in found if one.job.kind == "log")
    assert len(log.moments) == 4
    assert log.missed == 3
    assert log.as_due(at(67)).moments == 4
    assert log.next == at(75)


def test_a_lost_or_ended_set_is_due_again() -> None:
    taken = a_set("f", 0, 1, 2)
    assert last_done(shelf(taken), at(9999))["full"] == at(0)
    assert last_done(shelf(taken, missing={"here": ("f",), "there": ("f",)}), at(9999)) == {}
    assert last_done(shelf(taken, a_tombstone("f")), at(9999)) == {}


def test_a_full_does_for_an_incremental() -> None:
    done = last_done(shelf(a_set("f", 0, 1, 2), a_set("i", 1440, 3, 4, parent="f")), at(9999))
    assert done == {"full": at(0), "incremental": at(1440), "log": at(1440)}


def test_a_store_that_nobody_could_look_at_is_not_known() -> None:
    found = standing(documents(), {"policy-db": shelf(away=("here", "there"))}, at(60))
    assert found
    assert all(one.due and not one.seen for one in found)


def test_tries_come_less_and_less_often() -> None:
    waits = [again(count) for count in range(1, 12)]
    assert waits == sorted(waits)
    assert waits[-1] == timedelta(minutes=30)


# Parts of a plan


def planned(*aspects: str, slot: bool = True) -> tuple[Step, ...]:
    """Full and log are due; without a slot the full needs one of the log's steps."""
    seen = snapshot(
        shelf(a_set("f", 0, 1, 2)) if slot else shelf(),
        member(slot=None) if not slot else member(),
        minute=60 * 24 * 8,
    )
    intent = Intent(kind="protect", options={"aspects": list(aspects)})
    return plan_protection(documents(), seen, digest_of(documents()), "t", intent).steps


def test_the_log_goes_on_during_a_full() -> None:
    both, data, log = planned(), planned("data"), planned("log")
    assert {step.action for step in log} == {"archive-log"}
    assert "backup" in {step.action for step in data}
    assert not {step.lease for step in log} & {step.lease for step in data}
    assert {step.id for step in both} == {step.id for step in (*data, *log)}


def test_a_first_full_takes_the_log_along() -> None:
    assert {step.id for step in planned("data", slot=False)} == {step.id for step in planned(slot=False)}
    assert {step.id for step in planned("log", slot=False)} == {step.id for step in planned(slot=False)}


def test_a_part_needs_nothing_outside_of_it() -> None:
    for wanted in (("data",), ("log",)):
        kept = only(planned(), wanted)
        assert kept
        assert all(aspect(step) in wanted for step in kept)
        assert {need for step in kept for need in step.needs} <= {step.id for step in kept}


# Whom to tell


def record(verdict: Verdict, hours: float, told: bool = False) -> ScheduleRecord:
    return ScheduleRecord(
        id=f"{hours:06.1f}", system="aegis", store="policy-db", aspect="data", site="seoul", by="timer", due=(),
        begun=at(hours * 60), ended=at(hours * 60), verdict=verdict,
        notices=(Notice(to="ops", about="failure", ok=told),) if verdict in ILL else (),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("earlier", "verdict", "expected"),
    [
        ([], "done", None),
        ([], "failed", "failure"),
        ([record("done", 0)], "failed", "failure"),
        ([record("failed", 0, told=True)], "failed", None),
        ([record("failed", 0, told=False)], "failed", "failure"),
        ([record("failed", 0, told=True), record("locked", 1)], "done", "recovery"),
        ([record("failed", 0, told=True), record("done", 1)], "done", None),
        ([record("failed", 0, told=True)], "locked", None),
        ([record("failed", 0, told=True)], "stopped", None),
        ([record("failed", -24, told=True), record("failed", 0)], "failed", "reminder"),
        ([record("done", 0)], "nothing", None),
    ],
)
def test_people_are_told_of_begin_and_end(
    earlier: list[ScheduleRecord], verdict: Verdict, expected: str | None
) -> None:
    assert about(earlier, verdict, at(90)) == expected


@settings(deadline=None)
@given(st.lists(st.sampled_from(sorted(WELL | ILL | {"locked", "stopped"})), max_size=40))
def test_no_failure_goes_untold_and_no_hour_is_full_of_them(verdicts: list[Verdict]) -> None:
    earlier: list[ScheduleRecord] = []
    open_failure = False
    told = 0
    for hour, verdict in enumerate(verdicts):
        occasion = about(earlier, verdict, at(hour * 60))
        if verdict in ILL:
            assert (occasion == "failure") is not open_failure or occasion == "reminder"
            open_failure = True
        elif verdict in WELL:
            assert (occasion == "recovery") is open_failure
            open_failure = False
        else:
            assert occasion is None
        told += occasion is not None
        earlier.append(record(verdict, hour, told=occasion is not None))
    assert timedelta(hours=24) == REMIND


def test_records_go_by_whole_days() -> None:
    days = [f"2026-01-{day:02}" for day in range(1, 14)]
    now = datetime(2026, 1, 13, 23, tzinfo=UTC)
    assert expired(days, now, timedelta(days=10)) == ("2026-01-01", "2026-01-02")
    assert expired(days, now, timedelta(hours=1)) == tuple(days[:-1])  # never of today
    assert expired(["lost+found", *days], now, timedelta(days=400)) == ()


def test_a_clock_that_jumped_removes_no_records() -> None:
    keep = timedelta(days=40)
    days = [(at(0) + timedelta(days=day)).date().isoformat() for day in range(100)]
    now = at(0) + timedelta(days=99, hours=1)
    assert len(expired(days, now, keep)) == 59
    # Forward: nothing leads up to the present, not even once there is a record of that day.
    ahead = now + timedelta(days=30)
    assert expired(days, ahead, keep) == expired([*days, ahead.date().isoformat()], ahead, keep) == ()
    # Back: some records are of the future. Put right again, it goes on.
    assert expired(days, now - timedelta(days=2), keep) == ()
    assert expired([*days, (now + timedelta(days=9)).date().isoformat()], now + timedelta(days=9), keep) != ()


def test_a_set_from_the_future_keeps_nothing_from_being_due() -> None:
    """A host whose clock was ten years ahead took one backup, and then its clock was put right."""
    years = 10 * 365 * 24 * 60
    future = a_set("F", years, 200, 300)
    for records in ((future,), (a_set("A", 0, 100, 110), future)):
        now = 8 * 24 * 60
        assert stands(*records, minute=now)["full"].due
        backups = [step for step in _steps(*records, minute=now) if step.action == "backup"]
        assert [step.params["method"] for step in backups] == ["full"]
        after = (*records, a_set("B", now, 310, 320))
        assert not stands(*after, minute=now + 1)["full"].due, "and then it is done"
        assert not [step for step in _steps(*after, minute=now + 1) if step.action == "backup"]


def _steps(*records: object, minute: float) -> tuple[Step, ...]:
    seen = snapshot(shelf(*records), minute=minute)  # type: ignore[arg-type]
    intent = Intent(kind="protect", stores=("policy-db",))
    return plan_protection(documents(), seen, digest_of(documents()), "t", intent).steps
