"""What is kept and what goes: by example, and for random histories of sets, log, holds, tombstones and clocks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_plan.catalog.holding import Damage, Shelf
from aegis_plan.catalog.living import living
from aegis_plan.catalog.record import (
    Checked,
    Ending,
    HoldRecord,
    Record,
    ReleaseRecord,
    SetRecord,
    TombstoneRecord,
    VerificationRecord,
)
from aegis_plan.catalog.retention import Bonds, Retention, Rules, promise, retained, without
from aegis_plan.stores.postgresql.bonds import bonds
from aegis_plan.stores.postgresql.chains import archive, windows
from tests.plan.world import LINEAGE, a_history, a_range, a_set, at, shelf

DAY = 24 * 60
SOURCE = {"full": timedelta(weeks=4), "incremental": timedelta(weeks=1), "log": timedelta(days=3)}
"""The first three rows of the source plan."""
RULES = Rules(SOURCE)
MIB = 2**20
"""What the server writes in a minute; a segment holds sixteen of them."""


def month(days: int, *, every: int = 60, timeline: int = 1) -> list[Record]:
    """A full each Sunday, incrementals on the other days, log up to the last set of a MiB a minute."""
    made: list[Record] = []
    parent = None
    for day in range(days):
        minute = day * DAY
        full = day % 7 == 0
        parent = None if full else parent
        made.append(a_set(f"D{day:02}", minute, minute * MIB, minute * MIB + 9, parent=parent, timeline=timeline))
        parent = f"D{day:02}"
        made += [
            a_range(f"l{begin:06}", begin + every, begin * MIB, (begin + every) * MIB, timeline=timeline)
            for begin in range(minute, minute + DAY, every)
            if day < days - 1
        ]
    return made


def fold(catalog: Shelf, minute: float, rules: Rules = RULES) -> Retention:
    return retained(catalog, rules, bonds(catalog), at(minute))


def sets(found: Iterable[str]) -> list[str]:
    return sorted(one[2:] for one in found if one.startswith("r-D"))


def going(found: Retention) -> list[str]:
    return sets(one.record for one in found.going)


def tombstone(name: str, *targets: str, minute: float, grace: float = DAY) -> TombstoneRecord:
    return TombstoneRecord(
        id=f"r-t{name}",
        system="aegis",
        store="policy-db",
        lineage=LINEAGE,
        aspect="data",
        written=at(minute),
        site="seoul",
        targets=tuple(Ending(record=one, digest=f"d-{one}", reason="expired") for one in targets),
        delete_from=at(minute + grace),
        run="x",
    )


def hold(name: str, *targets: str, minute: float, until: float | None = None) -> HoldRecord:
    return HoldRecord(
        id=f"r-h{name}",
        system="aegis",
        store="policy-db",
        lineage=LINEAGE,
        aspect="data",
        written=at(minute),
        site="seoul",
        targets=targets,
        until=at(until) if until is not None else None,
        reason="audit",
        by="kim",
        run="x",
    )


def verification(name: str, target: str, minute: float, verdict: str = "pass", where: str = "here") -> Any:
    return VerificationRecord(
        id=f"r-v{name}",
        system="aegis",
        store="policy-db",
        lineage=LINEAGE,
        aspect="data",
        written=at(minute),
        site="seoul",
        repository=where,
        checked=(Checked(record=target, verdict=verdict, read=("base.000",)),),  # type: ignore[arg-type]
        run="x",
    )


def test_the_source_plan_after_six_weeks() -> None:
    """Day 42 is a Sunday: the fulls of four weeks and the one that leads to their begin, a week of incrementals and
    the set that leads to theirs, three days of log from the set before them on."""
    catalog = shelf(*month(43))
    found = fold(catalog, 42 * DAY + 5)
    assert sets(found.kept) == ["D14", "D21", "D28", *(f"D{day}" for day in range(35, 43))]
    assert "leads to the whole" in found.kept["r-D14"]
    log = sorted(int(one[3:]) for one in found.kept if one.startswith("r-l"))
    # Three days before is day 39, 00:05: the log leads on from the set of day 39, 00:00, and from there on it is whole.
    # The hour before it is kept too, as it ends in that segment. Of what is older, what sets were made during is left.
    assert [begin for begin in log if begin >= 39 * DAY - 60] == list(range(39 * DAY - 60, 42 * DAY, 60))
    made = {day * DAY for day in (14, 21, 28, *range(35, 42))}
    assert {begin for begin in log if begin < 39 * DAY - 60} <= made | {begin - 60 for begin in made}
    assert len([one for one in found.going if one.record.startswith("r-l")]) > 39 * 24 - 30
    assert found.stopped == ""
    assert found.later == ()


def test_a_set_that_stays_keeps_no_more_of_a_quiet_log_than_its_segment() -> None:
    """A segment holds almost three days of ranges of 256 KiB. Where a backup begins a new one, as PostgreSQL does, only
    the range that it was made in stays; else its segment up to it, and nothing after."""

    def old_log(segment_for_each: bool) -> list[int]:
        made: list[Record] = []
        lsn, parent = 16 * MIB, None
        for day in range(43):
            lsn = -(-lsn // (16 * MIB)) * 16 * MIB if segment_for_each else lsn
            before = lsn
            parent = None if day % 7 == 0 else parent
            made.append(a_set(f"D{day:02}", day * DAY, lsn + 9, lsn + 99, parent=parent))
            parent = f"D{day:02}"
            for hour in range(24 if day < 42 else 0):
                made.append(a_range(f"l{day * 24 + hour:06}", day * DAY + hour * 60 + 60, before, lsn + MIB // 4))
                lsn = before = lsn + MIB // 4
        found = fold(shelf(*made), 42 * DAY + 5)
        assert found.stopped == ""
        return sorted(int(one[3:]) for one in found.kept if one.startswith("r-l") and int(one[3:]) < 39 * 24)

    made_during = [day * 24 for day in (14, 21, 28, 35, 36, 37, 38)]
    assert set(old_log(True)) <= {*made_during, *(one - 1 for one in made_during), 39 * 24 - 1}
    assert set(made_during) <= set(old_log(True))
    # Sets of the middle of a segment need what is before them in it, of at most 64 ranges, and the ones at its ends.
    far = [one for one in old_log(False) if one < 35 * 24 - 66]
    assert {day * 24 for day in (14, 21, 28)} <= set(far)
    assert all(any(day * 24 - 66 <= one <= day * 24 for day in (14, 21, 28)) for one in far)


def test_the_log_leads_on_from_a_set_that_can_be_read() -> None:
    """The last set builds on one that was marked as expired, so that the one before both is what is left."""
    catalog = shelf(
        a_set("D01", DAY, DAY * MIB, DAY * MIB + 9),
        *(a_range(f"l{hour:06}", hour * 60 + 60, hour * 60 * MIB, (hour + 1) * 60 * MIB) for hour in range(24, 30)),
        a_set("D02", 2 * DAY, 2 * DAY * MIB, 2 * DAY * MIB + 9),
        a_set("D03", 3 * DAY, 3 * DAY * MIB, 3 * DAY * MIB + 9, parent="D02"),
        tombstone("1", "r-D02", minute=DAY),
    )
    found = fold(catalog, 6 * DAY, Rules({"full": None, "incremental": None, "log": timedelta(hours=12)}))
    assert found.stopped == ""
    assert found.going == ()


def test_every_moment_of_the_period_can_still_be_reached() -> None:
    catalog = shelf(*month(43))
    now = 42 * DAY + 5
    left = without(catalog, [one.record for one in fold(catalog, now).going])
    last = windows(archive(left))[-1]
    assert last.begin <= at(now) - SOURCE["log"]
    assert last.end == windows(archive(catalog))[-1].end
    assert fold(left, now).going == ()


def test_a_set_that_is_kept_keeps_its_chain() -> None:
    catalog = shelf(*month(9))
    rules = Rules({"full": timedelta(days=1), "incremental": timedelta(days=30), "log": None}, minimum_fulls=1)
    found = fold(catalog, 8 * DAY + 5, rules)
    assert going(found) == []
    assert found.kept["r-D00"] == "a set that stays builds on it"


def test_some_fulls_stay_whatever_their_age() -> None:
    catalog = shelf(a_set("D01", 0, 1, 2), a_set("D02", 10, 3, 4), a_set("D03", 20, 5, 6))
    rules = Rules({"full": timedelta(minutes=5), "incremental": None, "log": None}, minimum_fulls=2)
    assert going(fold(catalog, 22, rules)) == ["D01"]
    assert going(fold(catalog, 22, Rules(rules.periods, minimum_fulls=3))) == []


def test_the_newest_set_that_was_read_again_stays() -> None:
    records = [a_set(f"D0{n}", n * 10, n * 10, n * 10 + 1) for n in range(5)]
    rules = Rules({"full": timedelta(minutes=5), "incremental": None, "log": None}, minimum_fulls=1)
    read = verification("1", "r-D00", 12)
    assert going(fold(shelf(*records, read), 42, rules)) == ["D01", "D02"]
    assert going(fold(shelf(*records), 42, rules)) == ["D00", "D01", "D02"]
    failed = verification("2", "r-D00", 13, "fail")
    assert going(fold(shelf(*records, read, failed), 42, rules)) == ["D00", "D01", "D02"]


def test_a_full_that_no_copy_gives_whole_counts_for_nothing() -> None:
    records = [a_set(f"D0{n}", n * 10, n * 10, n * 10 + 1) for n in range(3)]
    rules = Rules({"full": timedelta(minutes=5), "incremental": None, "log": None}, minimum_fulls=1)
    lost = shelf(*records, missing={"here": ("D02",), "there": ("D02",)})
    assert "r-D01" in fold(lost, 14, rules).kept
    assert going(fold(lost, 14, rules)) == []


def test_nothing_goes_while_something_is_unseen_or_gone() -> None:
    records = month(43)
    now = 42 * DAY + 5
    away = fold(shelf(*records, away=("there",)), now)
    assert away.going == away.deletable == ()
    assert "no route" in away.stopped
    gone = Damage(repository="here", key="k/", kind="missing-record", detail="nobody has it")
    assert "not whole" in fold(shelf(*records, damage={"here": (gone,)}), now).stopped
    unread = Damage(repository="here", key="records/r-D99.json", kind="unreadable-record", detail="cut off")
    assert "not whole" in fold(shelf(*records, damage={"here": (unread,)}), now).stopped
    known = Damage(repository="here", key="records/r-D42.json", kind="unreadable-record", detail="cut off")
    assert fold(shelf(*records, damage={"here": (known,)}), now).stopped == ""


def test_a_clock_that_cannot_be_right_lets_nothing_go() -> None:
    catalog = shelf(*month(43))
    assert "a clock is wrong" in fold(catalog, 41 * DAY).stopped
    assert "a new one has to come first" in fold(catalog, 400 * DAY).stopped


def test_a_hold_keeps_and_ends() -> None:
    catalog = month(43)
    now = 42 * DAY + 5
    assert "D00" in going(fold(shelf(*catalog), now))
    held = hold("1", "r-D01", "r-D00", minute=now - 5)
    assert not {"D00", "D01"} & set(going(fold(shelf(*catalog, held), now)))
    assert "kim holds it" in fold(shelf(*catalog, held), now).kept["r-D01"]
    past = hold("1", "r-D01", "r-D00", minute=now - 50, until=now - 1)
    assert {"D00", "D01"} <= set(going(fold(shelf(*catalog, past), now)))
    release = ReleaseRecord(
        id="r-x1",
        system="aegis",
        store="policy-db",
        lineage=LINEAGE,
        aspect="data",
        written=at(now - 1),
        site="seoul",
        hold="r-h1",
        reason="done",
        by="kim",
        run="x",
    )
    assert {"D00", "D01"} <= set(going(fold(shelf(*catalog, held, release), now)))
    everything = hold("2", minute=now - 5)
    assert fold(shelf(*catalog, everything), now).going == ()


def test_log_that_leads_on_past_a_broken_chain_stays() -> None:
    """The full of day 35 is damaged everywhere: only the log leads from the set of day 34 to the present."""
    catalog = shelf(*month(39), missing={"here": ("D35",), "there": ("D35",)})
    found = fold(catalog, 38 * DAY + 5)
    assert found.stopped == ""
    left = without(catalog, [one.record for one in found.going])
    assert windows(archive(left))[-1].end == windows(archive(catalog))[-1].end >= at(38 * DAY)


def test_a_tombstone_waits_and_a_later_hold_takes_it_back() -> None:
    catalog = month(43)
    now = 42 * DAY + 5
    end = tombstone("1", "r-D00", minute=now - 5)
    found = fold(shelf(*catalog, end), now)
    assert "D00" not in going(found)
    assert [one.record for one in found.waiting] == ["r-D00"]
    ripe = tombstone("1", "r-D00", minute=now - 5, grace=5)
    assert [one.record for one in fold(shelf(*catalog, ripe), now).deletable] == ["r-D00"]
    held = hold("1", "r-D00", minute=now - 1)
    rescued = shelf(*catalog, ripe, held)
    assert fold(rescued, now).deletable == ()
    assert "r-D00" in {record.id for record in living(rescued).sets}


def test_a_hold_that_was_in_force_is_not_overruled_by_a_tombstone_that_had_not_seen_it() -> None:
    """Two hosts at once, or two clocks: the order of what was written is not that of what was known."""
    catalog = month(43)
    now = 42 * DAY + 5
    mark = tombstone("1", "r-D00", minute=now - 2, grace=0)
    for held in (hold("1", "r-D00", minute=now - 3), hold("1", minute=now - 3)):
        found = fold(shelf(*catalog, held, mark), now)
        assert found.deletable == ()
        assert "kim holds it" in found.kept["r-D00"]
    over = hold("1", "r-D00", minute=now - 9, until=now - 3)
    assert [one.record for one in fold(shelf(*catalog, over, mark), now).deletable] == ["r-D00"]
    release = ReleaseRecord(
        id="r-e1", system="aegis", store="policy-db", lineage=LINEAGE, aspect="data", written=at(now - 3), site="seoul",
        hold="r-h1", reason="over", by="kim", run="x",
    )  # fmt: skip
    ended = hold("1", "r-D00", minute=now - 9)
    assert [one.record for one in fold(shelf(*catalog, ended, release, mark), now).deletable] == ["r-D00"]


def test_a_tombstone_that_is_not_everywhere_deletes_nothing() -> None:
    end = tombstone("1", "r-D00", minute=42 * DAY, grace=0)
    found = fold(shelf(*month(43), end, missing={"there": ("t1",)}), 42 * DAY + 5)
    assert found.deletable == ()
    assert found.unspread == ("r-t1",)


def test_a_shortened_period_applies_after_its_grace_and_says_what_will_go() -> None:
    def promised(records: list[Record], change: int) -> list[Record]:
        short = {**SOURCE, "full": timedelta(weeks=2)}
        return [
            record.model_copy(
                update={"details": {"retain": promise(short if record.written >= at(change) else SOURCE)}}
            )
            if isinstance(record, SetRecord)
            else record
            for record in records
        ]

    now = 42 * DAY + 5
    rules = Rules({**SOURCE, "full": timedelta(weeks=2)})
    before = fold(shelf(*promised(month(43), 40 * DAY)), now, rules)
    assert going(before) == going(fold(shelf(*month(43)), now))
    assert set(sets(one.record for one in before.later)) == {"D14", "D21"}
    assert before.later_from == at(47 * DAY)
    assert "D14" in going(fold(shelf(*promised(month(43), 30 * DAY)), now, rules))
    nobody_knows = fold(shelf(*promised(month(43), 99 * DAY)), now, rules)
    assert nobody_knows.later_from is None
    assert "D14" not in going(nobody_knows)
    at_once = Rules(rules.periods, accept_shorter=True)
    assert "D14" in going(fold(shelf(*promised(month(43), 99 * DAY)), now, at_once))


def test_an_old_history_stays_until_the_new_one_is_proved() -> None:
    old = [a_set("D01", 0, 1, 2, lineage="1-17"), a_range("l1", 5, 1, 9, lineage="1-17")]
    new = [a_set("D02", 9 * DAY, 3, 4), a_set("D03", 10 * DAY, 5, 6)]
    rules = Rules({"full": timedelta(days=3), "incremental": None, "log": timedelta(days=1)}, minimum_fulls=2)
    waits = fold(shelf(*old, *new), 13 * DAY, rules)
    assert "not proved" in waits.kept["r-D01"]
    assert "not proved" in waits.kept["r-l1"]
    proved = fold(shelf(*old, *new, verification("1", "r-D03", 11 * DAY)), 13 * DAY, rules)
    assert {one.record for one in proved.going} == {"r-D01", "r-l1"}


def test_a_store_without_log_or_chains_keeps_one_set_before_its_period() -> None:
    catalog = shelf(*(a_set(f"D{day:02}", day * DAY, day, day + 1) for day in range(20)))
    rules = Rules({"full": timedelta(days=7)})
    found = retained(catalog, rules, Bonds(), at(19 * DAY + 60))
    assert sets(found.kept) == [f"D{day:02}" for day in range(12, 20)]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Record], dict[str, tuple[str, ...]], int, Rules]:
    """A server that is backed up for some weeks: fulls, incrementals, log with gaps, a promotion, holds."""
    records: list[Record] = []
    lost: dict[str, tuple[str, ...]] = {}
    days = draw(st.integers(2, 30))
    step = 6 * 60
    timeline, parent, switched = 1, None, False
    for day in range(days):
        minute = day * DAY
        kind = draw(st.sampled_from(["full", "incremental", "incremental", "none"]))
        if timeline == 1 and not switched and draw(st.integers(0, 19)) == 0:
            timeline, parent, switched = 2, None, True
            records.append(a_history(2, minute, (1, minute * MIB)))
        if kind != "none":
            base = parent if kind == "incremental" else None
            records.append(
                a_set(f"D{day:02}", minute + 1, minute * MIB, minute * MIB + 9, parent=base, timeline=timeline)
            )
            parent = f"D{day:02}"
        for begin in range(minute, minute + DAY, step):
            if draw(st.integers(0, 30)):
                records.append(
                    a_range(f"l{begin:06}", begin + step, begin * MIB, (begin + step) * MIB, timeline=timeline)
                )
    names = [record.id[2:] for record in records]
    for repository in ("here", "there"):
        lost[repository] = tuple(draw(st.lists(st.sampled_from(names), max_size=3)))
    now = days * DAY + draw(st.integers(0, 3 * DAY))
    periods = {
        "full": draw(st.sampled_from([None, timedelta(days=2), timedelta(weeks=1), timedelta(weeks=3)])),
        "incremental": draw(st.sampled_from([None, timedelta(days=2), timedelta(weeks=1)])),
        "log": draw(st.sampled_from([None, timedelta(hours=12), timedelta(days=3)])),
    }
    sets_made = [record.id for record in records if isinstance(record, SetRecord)]
    if sets_made and draw(st.booleans()):
        records.append(hold("1", draw(st.sampled_from(sets_made)), minute=now - 1, until=now + draw(st.integers(0, 9))))
    if sets_made and draw(st.booleans()):
        ended = draw(st.sampled_from(sets_made))
        records.append(tombstone("1", ended, minute=draw(st.integers(1, now))))
    return records, lost, now, Rules(periods, minimum_fulls=draw(st.integers(1, 3)))


@given(histories())
@settings(deadline=None)
def test_whatever_happened_nothing_that_is_needed_goes(
    made: tuple[list[Record], dict[str, tuple[str, ...]], int, Rules],
) -> None:
    records, lost, minute, rules = made
    catalog = shelf(*records, missing=lost)
    now = at(minute)
    found = fold(catalog, minute, rules)
    before = archive(catalog)
    gone = {one.record for one in found.going}
    assert not gone & set(found.kept)
    if found.stopped:
        assert not gone
        return
    left = without(catalog, gone)
    after = archive(left)
    # What could be restored of what stays can still be restored, to its own point.
    for lineage, one in before.items():
        still = {chain.last.id for chain in after[lineage].chains} if lineage in after else set()
        assert {chain.last.id for chain in one.chains if chain.last.id in found.kept} <= still
    # The newest set and the furthest moment stay.
    newest = max((chain.last for one in before.values() for chain in one.chains), key=lambda one: one.not_after)
    assert newest.id in found.kept
    assert windows(after)[-1].end == windows(before)[-1].end
    # Every moment of the period of the log that could be reached can be reached still.
    log = rules.periods["log"]
    if log is not None:
        _reached(before, after, now - log, now)
    # So many fulls that can be read stay, or all there are.
    fulls = [chain for one in after.values() for chain in one.chains if chain.last.method == "full"]
    had = [chain for one in before.values() for chain in one.chains if chain.last.method == "full"]
    assert len(fulls) >= min(rules.minimum_fulls, len(had))
    # Nothing is left to do.
    assert fold(left, minute, rules).going == ()


def _reached(before: Any, after: Any, begin: datetime, end: datetime) -> None:
    moment = begin
    spans, left = windows(before), windows(after)
    while moment <= end:
        if any(one.begin <= moment <= one.end for one in spans):
            assert any(one.begin <= moment <= one.end for one in left), moment
        moment += timedelta(hours=1)
