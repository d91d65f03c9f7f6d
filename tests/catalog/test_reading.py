"""A share of the data each time reads all of it over time."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from aegis_plan.catalog.reading import chosen
from aegis_plan.catalog.record import SetRecord
from tests.plan.world import a_set, at, stored


@given(
    st.lists(st.lists(st.integers(2, 5000), min_size=1, max_size=4), min_size=1, max_size=6),
    st.sampled_from([0.05, 0.3, 1.0]),
)
def test_over_time_all_is_read(sizes: list[list[int]], share: float) -> None:
    sets: list[SetRecord] = [
        a_set(f"F{number}", number, 1, 2, objects=tuple(stored(f"o{at_}", size) for at_, size in enumerate(of_set)))
        for number, of_set in enumerate(sizes)
    ]
    every = {(record.id, one.name) for record in sets for one in record.objects}
    total = sum(one.sealed_size for record in sets for one in record.objects)
    biggest = max(one.sealed_size for record in sets for one in record.objects)
    read_at: dict[tuple[str, str, str], datetime] = {}
    rounds = 0
    while {(record, name) for _, record, name in read_at} != every:
        rounds += 1
        picked = {(record, name) for record, names in chosen(sets, "here", read_at, share).items() for name in names}
        assert picked
        taken = sum(one.sealed_size for record in sets for one in record.objects if (record.id, one.name) in picked)
        assert min(share * total, total) - 1 <= taken <= share * total + biggest
        read_at |= {("here", record, name): at(1000 + rounds) for record, name in picked}
        assert rounds <= 1 / share + 1
    assert chosen(sets, "here", read_at, 0.0) == {}
