"""To which moment all stores of a service can go back together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from aegis_plan.catalog.together import Reachable, together

DAY = datetime(2026, 11, 24, tzinfo=UTC)


def at(hour: float) -> datetime:
    return DAY + timedelta(hours=hour)


def moment(hour: float, exact: bool = True) -> Reachable:
    return Reachable(at(hour), at(hour), exact)


def test_a_log_comes_to_where_the_others_are() -> None:
    found = together(
        {
            "policy-db": [Reachable(at(-70), at(12))],
            "policy-graph": [moment(-21), moment(3)],
            "policy-vectors": [moment(-20), moment(4, exact=False)],
        }
    )
    assert found is not None
    assert found.at == at(4)
    assert {name: one.at for name, one in found.points.items()} == {
        "policy-db": at(4),
        "policy-graph": at(3),
        "policy-vectors": at(4),
    }
    assert found.skew == timedelta(hours=1)
    assert [name for name, one in found.points.items() if not one.exact] == ["policy-vectors"]


def test_two_logs_go_to_the_end_of_the_one_that_is_behind() -> None:
    found = together({"a": [Reachable(at(0), at(12))], "b": [Reachable(at(5), at(9))]})
    assert found is not None
    assert (found.at, found.skew) == (at(9), timedelta())


def test_a_store_without_a_backup_keeps_all_from_going() -> None:
    assert together({"a": [moment(1)], "b": []}) is None
    assert together({}) is None


stretches = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 10)).map(lambda one: Reachable(at(one[0]), at(one[0] + one[1]))),
    min_size=1,
    max_size=4,
)


@given(st.dictionaries(st.sampled_from("abc"), stretches, min_size=1))
def test_no_moment_that_gives_up_no_newest_state_is_closer(stores: dict[str, list[Reachable]]) -> None:
    found = together(stores)
    assert found is not None
    oldest = min(max(one.end for one in mine) for mine in stores.values())
    assert found.at >= oldest
    for name, point in found.points.items():
        assert any(one.begin <= point.at <= one.end for one in stores[name])
        assert point.at <= found.at
    # By brute force over every hour and half of one.
    for half in range(2 * int((oldest - DAY).total_seconds() // 3600), 84):
        moment_ = at(half / 2)
        if moment_ < oldest:
            continue
        points = [
            max((min(one.end, moment_) for one in mine if one.begin <= moment_), default=None)
            for mine in stores.values()
        ]
        known = [one for one in points if one is not None]
        if len(known) == len(points):
            assert max(known) - min(known) >= found.skew
