"""What preflight reads off a plan by itself: that it does something, where it works, and room for what comes back."""

from __future__ import annotations

from typing import Any

import pytest

from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan.plan import Intent, Plan
from aegis_plan.plan.preflight import for_recovery, judged, wanted
from aegis_plan.plan.recover import plan_recovery
from aegis_plan.requirement import Requirement, exit_code
from tests.plan.test_strategies import declared, plan, replica
from tests.plan.world import documents, member, snapshot


def found(made: Plan, *said: Requirement) -> list[Requirement]:
    ask = wanted(made)
    return [*judged(made, ask), *for_recovery(said, made, ask)]


def of_code(requirements: list[Requirement], code: str) -> list[tuple[str, str]]:
    return [(one.subject, one.state) for one in requirements if one.code == code]


def lost(site: str, **scenario: Any) -> Plan:
    made = declared("failover", disruption="site", affects={"sites": [site]}, **scenario)
    return plan(made, member("primary"), replica())


OWN = {"notify": {"tell": {"manual": "tell them"}}}


@pytest.mark.parametrize("steps", [{}, OWN])
def test_a_plan_that_brings_nothing_back_shows_no_readiness(steps: dict[str, Any]) -> None:
    made = lost("busan", steps=steps)
    assert len(made.steps) == len(steps), "the primary in Seoul stands"
    requirements = found(made)
    assert of_code(requirements, "plan-empty") == [("scenarios/db-lost", "could_not_verify")]
    assert of_code(requirements, "plan-blocked") == []
    told = next(one for one in requirements if one.code == "plan-empty")
    assert "policy-db is left alone" in told.detail
    assert exit_code([told]) == 1


def test_a_plan_that_does_is_ready() -> None:
    requirements = found(plan(declared("restore"), member("primary"), replica()))
    assert [state for _, state in of_code(requirements, "plan-blocked")] == ["ok"]
    assert of_code(requirements, "plan-empty") == []


def test_a_step_at_a_site_that_is_lost_is_missing() -> None:
    where = {"isolate": {"cut-off": {"run": ["true"], "site": "seoul"}}}
    made = lost("seoul", steps=where)
    told = next(one for one in found(made) if one.code == "step-at-lost-site")
    assert (told.state, "isolate.cut-off: its site seoul is down" in told.detail) == ("missing", True)
    there = declared("failover", steps=where)
    assert of_code(found(plan(there, member("primary"), replica())), "step-at-lost-site") == []


def two_stores() -> tuple[Documents, Snapshot]:
    """One store whose size the plan knows, and one of a kind whose recipe does not count it."""
    plain = documents().model_dump(mode="json")
    plain["stores"]["graph-db"] = {
        "engine": "neo4j",
        "members": {"g1": {"site": "seoul", "connection": "${env:G}", "server": {"home": "/srv/graph"}}},
        "backup": {"repositories": ["here"], "full": {"schedule": "0 2 * * 0"}},
    }
    plain["scenarios"]["db-lost"]["affects"] = {"stores": ["policy-db", "graph-db"]}
    made = Documents.model_validate(plain)
    from tests.plan.test_strategies import QUIET

    seen = snapshot(QUIET, member("primary", free_bytes=1 << 40))
    return made, seen


def site_says(subject: str, state: Any) -> Requirement:
    return Requirement(code="no-space", state=state, summary="there is room", subject=subject, needed_for=("restore",))


def test_room_is_told_of_each_store_by_itself() -> None:
    made, seen = two_stores()
    intent = Intent(kind="recover", scenario="db-lost", to="latest")
    requirements = found(
        plan_recovery(made, seen, intent, "d", "t"),
        site_says("stores/policy-db/seoul-1", "missing"),
        site_says("stores/graph-db/g1", "missing"),
    )
    told = of_code(requirements, "no-space")
    assert told[0] == ("stores/policy-db/seoul-1", "ok"), "the plan counts what it stages; the site does not"
    assert sorted(told[1:]) == [("stores/graph-db/g1", "could_not_verify"), ("stores/graph-db/g1", "missing")]


def test_a_failover_needs_no_room() -> None:
    assert of_code(found(lost("seoul")), "no-space") == []
