"""Tiers, order, dependents and circles of services, stores and sites."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_plan.documents.load import load
from aegis_plan.documents.model import Documents
from aegis_plan.errors import AegisError
from aegis_plan.topology.graph import Topology, tier_of_store

PLAN = Path(__file__).parent.parent.parent / "plans" / "aegis"


def documents(services: dict[str, tuple[int, list[str]]], stores: tuple[str, ...] = ()) -> Documents:
    return Documents.model_validate(
        {
            "system": {"name": "x"},
            "tiers": {"1": {"name": "a"}, "2": {"name": "b"}, "4": {"name": "d"}},
            "services": {name: {"tier": tier, "uses": uses} for name, (tier, uses) in services.items()},
            "stores": {name: {"engine": "postgresql", "members": {}} for name in stores},
        }
    )


def test_the_source_plan_comes_back_by_tier() -> None:
    topology = Topology(load(PLAN).documents)
    order = topology.order()
    assert [topology.tier(node) for node in order] == sorted(topology.tier(node) for node in order)
    assert topology.tier("policy-db") == 1
    assert order.index("stores/policy-db") < order.index("services/user-authentication")
    assert topology.dependents("user-authentication") == ("services/data-pipeline",)
    assert len(topology.dependents("policy-db")) == 9
    assert topology.dependents("policy-vectors") == (
        "services/recommendation-engine",
        "services/data-pipeline",
        "services/notification-service",
    )
    assert len(topology.dependents("seoul")) == 12
    assert topology.needs("data-pipeline") == (
        "stores/policy-db",
        "services/user-authentication",
        "stores/policy-graph",
        "stores/policy-vectors",
    )


def test_a_store_takes_the_tier_of_its_most_critical_user() -> None:
    system = documents({"a": (2, ["db"]), "b": (1, ["a"]), "c": (4, ["db"])}, ("db", "idle"))
    assert tier_of_store(system, "db") == 1
    assert tier_of_store(system, "idle") == 4
    assert tier_of_store(Documents.model_validate({"system": {"name": "x"}}), "none") == 1


def test_a_circle_is_told_in_the_direction_of_use() -> None:
    uses = {"a": (1, ["b"]), "b": (1, ["c"]), "c": (1, ["a"]), "z": (1, [])}
    topology = Topology(documents(uses))
    circle = topology.cycle()
    assert circle[0] == circle[-1]
    assert all(used in uses[user][1] for user, used in pairwise(circle))
    with pytest.raises(AegisError) as caught:
        topology.order()
    assert caught.value.code == "dependency-cycle"


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AegisError) as caught:
        Topology(documents({})).dependents("nobody")
    assert caught.value.code == "topology-unknown"


@given(st.lists(st.sets(st.integers(0, 30)), max_size=15))
def test_what_is_needed_comes_before_what_needs_it(edges: list[set[int]]) -> None:
    services = {
        f"s{index}": (1 + index % 2, [f"s{other}" for other in others if other < index])
        for index, others in enumerate(edges)
    }
    order = Topology(documents(services)).order()
    assert sorted(order) == sorted(f"services/{name}" for name in services)
    for name, (_, uses) in services.items():
        for used in uses:
            assert order.index(f"services/{used}") < order.index(f"services/{name}")
