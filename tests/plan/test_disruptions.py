"""What a disruption takes: sites, stores, or what only a person can tell; one table for plans, drawings and rules."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from aegis_plan.documents.model import Documents
from aegis_plan.documents.model.scenario import DISRUPTIONS, Disruption
from aegis_plan.plan.plan import Plan
from aegis_plan.plan.recover import plan_recovery
from aegis_plan.plan.what_if import what_if_down
from aegis_plan.report.graph_plan import draw_scenario
from tests.plan.test_strategies import MEMBER, TWO, actions, codes, declared, plan, replica
from tests.plan.world import member

TAKE = ("host", "zone", "site")


def seen(made: Documents, **asked: Any) -> Plan:
    """The plan while nothing has happened yet: both servers are seen."""
    return plan(made, member("primary"), replica(), **asked)


def test_every_kind_of_disruption_says_what_it_does() -> None:
    assert set(DISRUPTIONS) == set(get_args(Disruption))


@pytest.mark.parametrize("disruption", TAKE)
@pytest.mark.parametrize("strategy", ["failover", "auto", "partial"])
def test_what_stands_at_the_site_of_a_lost_host_or_zone_is_lost(disruption: str, strategy: str) -> None:
    made = seen(declared(strategy, disruption=disruption, affects={"sites": ["seoul"]}))
    assert actions(made), made.choices
    assert not any("left alone" in one for one in made.choices)
    assert {step.site for step in made.steps} == {"busan"}
    if strategy == "failover":
        assert "promote" in actions(made)


@pytest.mark.parametrize("disruption", TAKE)
def test_a_copy_at_the_site_is_lost_with_it(disruption: str) -> None:
    made = seen(declared("restore", disruption=disruption, affects={"sites": ["seoul"]}))
    assert made.blocked
    assert actions(made) == []


@pytest.mark.parametrize("disruption", TAKE)
def test_all_that_ask_agree_on_what_is_lost(disruption: str) -> None:
    made = declared("failover", disruption=disruption, affects={"sites": ["seoul"]})
    first = seen(made)
    again = lambda intent: plan_recovery(first.documents, first.snapshot, intent, "d", "t")  # noqa: E731
    assert what_if_down(first, "seoul", again).already
    drawn = draw_scenario(made, "db-lost")
    assert next(node for node in drawn.nodes if "comes back" in node.id).hit


@pytest.mark.parametrize("disruption", ["store", "logical", "ransomware"])
def test_a_disaster_of_data_leaves_servers_where_they_are(disruption: str) -> None:
    made = seen(declared("restore", disruption=disruption, affects={"sites": ["seoul"]}))
    assert not made.blocked, made.findings
    assert {step.site for step in made.steps if step.action == "swap"} == {"seoul"}


def test_a_store_struck_at_its_primarys_site_is_brought_back() -> None:
    assert "promote" in actions(seen(declared("failover", disruption="store", affects={"sites": ["seoul"]})))
    made = seen(declared("failover", disruption="store", affects={"sites": ["busan"]}))
    assert actions(made) == []
    assert any("its site seoul is not struck" in one for one in made.choices)


@pytest.mark.parametrize("affects", [{}, {"stores": ["policy-db"]}])
@pytest.mark.parametrize("disruption", TAKE)
def test_servers_that_are_lost_somewhere_are_asked_for(disruption: str, affects: dict[str, Any]) -> None:
    made = declared("restore", disruption=disruption, affects=affects)
    told = next(one for one in seen(made).findings if one.code == "disruption-unclear")
    assert told.severity == "error"
    assert "policy-db" in told.detail
    assert "disruption-unclear" not in codes(seen(made, sites_down=("busan",)))


def test_which_of_several_hosts_at_a_site_is_lost_is_asked() -> None:
    three = {**TWO, "seoul-2": {"site": "seoul", **MEMBER}}
    where: dict[str, Any] = {"members": three, "affects": {"sites": ["seoul"]}}
    told = next(one for one in seen(declared("failover", disruption="host", **where)).findings)
    assert (told.code, "seoul-1 and seoul-2 of policy-db" in told.detail) == ("disruption-unclear", True)
    for way in ("zone", "site"):
        assert "disruption-unclear" not in codes(seen(declared("failover", disruption=way, **where)))
    made = declared("failover", disruption="host", **where)
    assert "disruption-unclear" not in codes(seen(made, sites_down=("seoul",)))


@pytest.mark.parametrize("affects", [{}, {"services": ["auth"]}, {"stores": ["policy-db"]}])
@pytest.mark.parametrize("strategy", ["failover", "auto", "partial"])
def test_a_struck_store_is_brought_back_though_its_primary_is_seen(strategy: str, affects: dict[str, Any]) -> None:
    made = seen(declared(strategy, affects=affects))
    assert actions(made), made.choices
    assert not any("left alone, seoul-1" in one for one in made.choices)
    start = next(step for step in made.steps if step.id == "auth.start")
    assert any(need.startswith("policy-db.") for need in start.needs)


def test_a_store_of_which_nothing_is_said_is_struck_also_with_a_site_down() -> None:
    """`--site-down` tells where it cannot go, not that the disaster is smaller."""
    made = declared("auto", affects={})
    assert actions(seen(made, sites_down=("busan",)))


@pytest.mark.parametrize("affects", [{"sites": ["busan"]}, {"sites": ["busan"], "services": ["auth"]}])
def test_where_sites_are_lost_a_primary_elsewhere_is_left_alone(affects: dict[str, Any]) -> None:
    made = seen(declared("failover", disruption="site", affects=affects))
    assert actions(made) == []
    assert any("its site seoul is not struck" in one for one in made.choices)
