"""Chains, holes and timelines against a model that walks the log unit by unit."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.stores.contract import Target
from aegis_plan.stores.postgresql.chains import FOREVER, archive, windows
from aegis_plan.stores.postgresql.points import Reached, reach
from aegis_plan.stores.postgresql.positions import parse
from tests.plan.world import LINEAGE, a_history, a_range, a_set, at, shelf

END = 24


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[SetRecord], list[LogRecord], dict[int, list[tuple[int, int]]], set[str]]:
    """Sets, ranges, ancestors by timeline, and names of records that nobody holds."""
    ancestors: dict[int, list[tuple[int, int]]] = {1: []}
    timelines = draw(st.integers(1, 3))
    for timeline in range(2, timelines + 1):
        parent = draw(st.integers(1, timeline - 1))
        low = ancestors[parent][-1][1] if ancestors[parent] else 1
        ancestors[timeline] = [*ancestors[parent], (parent, draw(st.integers(low, END)))]
    ranges = []
    for number in range(draw(st.integers(0, 9))):
        timeline = draw(st.integers(1, timelines))
        begin = draw(st.integers(0, END - 1))
        end = draw(st.integers(begin + 1, min(END, begin + 8)))
        ranges.append(a_range(f"l{number}", end, begin, end, timeline=timeline))
    sets: list[SetRecord] = []
    for number in range(draw(st.integers(0, 4))):
        timeline = draw(st.integers(1, timelines))
        entry = ancestors[timeline][-1][1] if ancestors[timeline] else 0
        begin = draw(st.integers(entry, entry + END))
        end = draw(st.integers(begin, begin + 4))
        parents = [made.set for made in sets]
        parent = draw(st.sampled_from([None, None, *parents, "never"]))
        sets.append(a_set(f"s{number}", end, begin, end, timeline=timeline, parent=parent))
    names = [record.id[2:] for record in (*sets, *ranges)]
    lost = set(draw(st.lists(st.sampled_from(names), max_size=2))) if names else set()
    return sets, ranges, ancestors, lost


def readable(made: SetRecord, sets: list[SetRecord], lost: set[str]) -> bool:
    by_id = {one.id: one for one in sets}
    at_set: SetRecord | None = made
    while at_set is not None:
        if at_set.set in lost:
            return False
        if at_set.method == "full":
            return True
        at_set = by_id.get(at_set.parent or "")
    return False


def expected(
    sets: list[SetRecord], ranges: list[LogRecord], ancestors: dict[int, list[tuple[int, int]]], lost: set[str]
) -> dict[tuple[int, str], tuple[datetime, datetime, int]]:
    """Path and set to begin, end and last LSN, found by walking."""
    found = {}
    held = [one for one in ranges if one.id[2:] not in lost]
    used = {parse(one.begin).timeline for one in ranges} | {parse(one.end).timeline for one in sets}
    for path in {*used, *(line for line, _ in ancestors.items() if line > 1)}:
        upto = dict([*ancestors[path], (path, FOREVER)])
        entry = ancestors[path][-1][1] if ancestors[path] else 0
        here = [
            (parse(one.begin).lsn, min(parse(one.end).lsn, upto[line]), parse(one.end).lsn <= upto[line], one)
            for one in held
            if (line := parse(one.begin).timeline) in upto and parse(one.begin).lsn < upto[line]
        ]
        for made in sets:
            begin, end = parse(made.begin).lsn, parse(made.end)
            if not readable(made, sets, lost) or end.timeline not in upto or end.lsn > upto[end.timeline]:
                continue
            last = begin
            while any(low <= last < high for low, high, _, _ in here):
                last += 1
            touched = any(low <= begin <= high for low, high, _, _ in here)
            first = begin
            while any(low < first <= high for low, high, _, _ in here):
                first -= 1
            covers = [one.covers_until for low, high, whole, one in here if whole and first <= low and high <= last]
            if touched and last >= end.lsn and covers and (path == end.timeline or last >= entry):
                found[path, made.id] = (made.not_after, max(made.not_after, *covers), last)
            elif path == end.timeline:
                found[path, made.id] = (made.not_after, made.not_after, end.lsn)
    return found


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_reaches_are_those_that_a_walk_finds(
    world: tuple[list[SetRecord], list[LogRecord], dict[int, list[tuple[int, int]]], set[str]],
) -> None:
    sets, ranges, ancestors, lost = world
    histories = [a_history(line, 0, *switched) for line, switched in ancestors.items() if switched]
    missing = {"here": tuple(lost), "there": tuple(lost)}
    lineages = archive(shelf(*sets, *ranges, *histories, missing=missing))
    got = {
        (one.path, one.chain.last.id): (one.begin, one.end, one.end_lsn)
        for one in (lineages[LINEAGE].reaches if lineages else [])
    }
    assert got == expected(sets, ranges, ancestors, lost)


@settings(max_examples=400, deadline=None)
@given(worlds(), st.integers(-2, 60))
def test_a_moment_is_reached_exactly_where_a_window_holds_it(
    world: tuple[list[SetRecord], list[LogRecord], dict[int, list[tuple[int, int]]], set[str]], minute: int
) -> None:
    sets, ranges, ancestors, lost = world
    histories = [a_history(line, 0, *switched) for line, switched in ancestors.items() if switched]
    catalog = shelf(*sets, *ranges, *histories, missing={"here": tuple(lost), "there": tuple(lost)})
    lineages = archive(catalog)
    spans = windows(lineages)
    found = reach(lineages, catalog, Target(time=at(minute)))
    possible = any(window.begin <= at(minute) <= window.end for window in spans)
    assert isinstance(found, Reached) == possible
    if not isinstance(found, Reached):
        assert found.summary
        assert found.hint
        return
    begin, end = parse(found.point.sets[-1].begin).lsn, parse(found.point.position).lsn
    assert found.point.sets[0].method == "full"
    assert found.point.sets[-1].not_after <= at(minute)
    covered = [(parse(one.begin).lsn, parse(one.end).lsn) for one in found.point.log if not one.details.get("history")]
    if found.point.sets[-1].not_after < at(minute):
        assert all(any(low <= unit < high for low, high in covered) for unit in range(begin, end))
        assert max(one.covers_until for one in found.point.log if not one.details.get("history")) >= at(minute)
    assert not {one.id[2:] for one in (*found.point.sets, *found.point.log)} & lost


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_latest_never_loses_in_silence(
    world: tuple[list[SetRecord], list[LogRecord], dict[int, list[tuple[int, int]]], set[str]],
) -> None:
    sets, ranges, _ancestors, lost = world
    sets = [one for one in sets if parse(one.end).timeline == 1]
    ranges = [one for one in ranges if parse(one.begin).timeline == 1]
    catalog = shelf(*sets, *ranges, missing={"here": tuple(lost), "there": tuple(lost)})
    found = reach(archive(catalog), catalog, Target())
    if isinstance(found, Reached):
        promised = [one.covers_until for one in ranges if parse(one.end).lsn > parse(found.point.position).lsn]
        assert not promised
        assert all(one.not_after <= found.point.not_after for one in sets if readable(one, sets, lost))
