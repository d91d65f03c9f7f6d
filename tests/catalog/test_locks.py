"""How long what is kept has to be locked: a full outlives the last that builds on it, a new child extends the chain."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.living import living
from aegis_plan.catalog.locks import AHEAD, lacking, wanted
from aegis_plan.catalog.record import LockRecord, Record, SetRecord
from aegis_plan.catalog.retention import Periods
from aegis_plan.stores.postgresql.bonds import bonds
from tests.catalog.test_retention import DAY, SOURCE, month
from tests.plan.world import LINEAGE, at, shelf

WHERE = shelf(*month(1)).holdings[0].repository


def lock(name: str, minute: float, until: datetime, *targets: str) -> LockRecord:
    return LockRecord(
        id=f"r-k{name}", system="aegis", store="policy-db", lineage=LINEAGE, aspect="data", written=at(minute),
        site="seoul", repository=WHERE, targets=targets, until=until, run="x",
    )  # fmt: skip


def short(catalog: Shelf, periods: Periods, minute: float) -> dict[str, datetime]:
    alive = living(catalog)
    kept = [record.id for record in (*alive.sets, *alive.log)]
    return lacking(alive, catalog.records, wanted(alive, bonds(catalog), periods), kept, WHERE, at(minute))


def locked(records: list[Record], found: dict[str, datetime], minute: float) -> list[Record]:
    """The records, and those that a step of that moment would write."""
    moments = sorted(set(found.values()))
    return [
        *records,
        *(
            lock(f"{minute:g}-{number}", minute, until, *(one for one, end in found.items() if end == until))
            for number, until in enumerate(moments)
        ),
    ]


def test_a_full_is_locked_until_the_last_that_builds_on_it_expires() -> None:
    periods = {"full": timedelta(days=1), "incremental": timedelta(weeks=6), "log": None}
    records = month(7)
    catalog = shelf(*records)
    ends = wanted(living(catalog), bonds(catalog), periods)
    last = next(one for one in records if one.id == "r-D06")
    assert isinstance(last, SetRecord)
    assert {ends[f"r-D{day:02}"] for day in range(7)} == {last.not_after + timedelta(weeks=6)}


def test_a_new_child_extends_its_chain_and_nothing_else() -> None:
    records = month(9)
    before = [record for record in records if record.id != "r-D08"]
    minute = 8 * DAY + 5
    found = short(shelf(*before), SOURCE, minute)
    assert set(found) == {record.id for record in before}
    done = locked(before, found, minute)
    assert short(shelf(*done), SOURCE, minute) == {}
    child = next(one for one in records if one.id == "r-D08")
    periods = {**SOURCE, "incremental": timedelta(weeks=8)}
    chain = {one for one in short(shelf(*done, child), periods, minute) if one.startswith("r-D0")}
    assert {"r-D08", "r-D07"} <= chain


@settings(max_examples=30, deadline=None)
@given(
    days=st.integers(1, 16),
    spans=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    later=st.floats(0, 20),
)
def test_what_is_kept_is_always_locked_ahead(days: int, spans: tuple[int, int], later: float) -> None:
    periods = {"full": timedelta(days=spans[0]), "incremental": timedelta(days=spans[1]), "log": timedelta(days=2)}
    records = month(days, every=12 * 60)
    minute = days * DAY
    done = locked(records, short(shelf(*records), periods, minute), minute)
    then = minute + later * DAY
    again = locked(done, short(shelf(*done), periods, then), then)
    assert short(shelf(*again), periods, then) == {}
    catalog = shelf(*again)
    known: dict[str, datetime] = {}
    for record in catalog.records:
        if isinstance(record, LockRecord):
            for one in record.targets:
                known[one] = max(known.get(one, record.until), record.until)
    needs = bonds(catalog).builds_on
    ends = wanted(living(catalog), bonds(catalog), periods)
    for one in living(catalog).sets:
        assert known[one.id] >= at(then) + AHEAD
        for other in needs.get(one.id, ()):
            assert known[other] >= ends[one.id]
