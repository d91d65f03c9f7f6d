"""Random collections are backed up while writers run, restored elsewhere, and everything is compared."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aegis_plan.stores.milvus import paging
from tests.milvus.cases import Case, case, contents, make
from tests.milvus.rig import Rig
from tests.milvus.world import opened
from tests.milvus.writers import without_moving, writing
from tests.servers.milvus import TOKEN, MilvusServer


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of a few rows, so that keys of every kind end one."""
    monkeypatch.setattr(paging, "FIRST_ROWS", 1)
    monkeypatch.setattr(paging, "BYTES", 200)


def both(lite: bool) -> st.SearchStrategy[list[Case]]:
    return st.tuples(case("first", lite), case("second", lite)).map(list)


def test_milvus_lite(sweep: bool) -> None:
    @settings(
        max_examples=200 if sweep else 6, derandomize=not sweep, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    @given(both(lite=True))
    def holds(made: list[Case]) -> None:
        with tempfile.TemporaryDirectory() as text:
            _lite(Path(text), made)

    holds()


def _lite(base: Path, made: list[Case]) -> None:
    path = str(base / "data.db")
    rig = Rig(base / "rig", {"one": {"connection": path, "server": {"mode": "lite"}}})
    with opened(path) as client:
        for one in made:
            make(client, one)
    with opened(path) as client:
        before = {one.name: contents(client, one.name) for one in made}
    record = rig.backup("one")
    assert record.consistency == "exact"
    assert record.details["rows"] == sum(len(rows) for one in before.values() for rows in one["rows"].values())
    rig.restore(record, "one", beside=str(base / "there.db"))
    with opened(str(base / "there.db")) as client:
        after = {one.name: contents(client, one.name) for one in made}
    for one in made:
        expected = before[one.name]
        got: dict[str, Any] = after[one.name]
        if one.ttl:
            got["schema"]["properties"] = expected["schema"]["properties"]  # set by the swap alone
        got["aliases"] = expected["aliases"]  # made by the swap alone
        assert got == expected


@pytest.mark.usefixtures("sweep")
def test_it_can_fail() -> None:
    """What the comparison rests on tells -0.0 from 0.0 and one bit of a vector from another."""
    from tests.milvus.cases import _bits

    assert _bits({"a": 0.0}) != _bits({"a": -0.0})
    assert _bits({"a": [1.0, 2.0]}) != _bits({"a": [1.0, 2.0000000000000004]})


@pytest.mark.sweep(only=True)
def test_the_full_server_while_writers_run(server: MilvusServer, sweep: bool, tmp_path: Path) -> None:
    numbers = itertools.count()

    @settings(
        max_examples=15 if sweep else 1, derandomize=not sweep, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    @given(both(lite=False))
    def holds(made: list[Case]) -> None:
        number = next(numbers)
        _full(server, tmp_path / str(number), number, made)

    holds()


def _full(server: MilvusServer, base: Path, number: int, made: list[Case]) -> None:
    source, goal = f"source_{number}", f"goal_{number}"
    with_token = {"connection": server.address, "server": {"token": TOKEN, "database": source}}
    elsewhere = {"connection": server.address, "server": {"token": TOKEN, "database": goal}}
    rig = Rig(base, {"one": with_token, "two": elsewhere})
    server.client().create_database(source)
    client = server.client(source)
    for one in made:
        make(client, one)
    before = {one.name: contents(client, one.name) for one in made}
    with writing(lambda: server.client(source), made) as writes:
        record = rig.backup("one")
    assert record.consistency == "fuzzy", f"{writes} writes were acknowledged meanwhile"
    assert record.not_before < record.not_after
    rig.restore(record, "two")
    there = server.client(goal)
    after = {one.name: contents(there, one.name) for one in made}
    for one in made:
        assert without_moving(after[one.name], one) == before[one.name]
        assert str(client.get_load_state(one.name)["state"]) == before[one.name]["loaded"]
    for each in (client, there):
        for one in made:
            for alias in one.aliases:
                each.drop_alias(alias)
            each.drop_collection(one.name)
        each.close()
