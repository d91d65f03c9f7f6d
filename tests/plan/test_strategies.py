"""Failover, restore, partial or auto: which way a store comes back, and why, from what was seen."""

from __future__ import annotations

from typing import Any

import pytest

from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import MemberLook, PastDuration, ServiceLook, Snapshot
from aegis_plan.plan.plan import Intent, Plan
from aegis_plan.plan.preflight import judged, wanted
from aegis_plan.plan.recover import plan_recovery
from aegis_plan.plan.what_if import what_if_down
from tests.neo4j.test_plans import GRAPH
from tests.plan.world import a_range, a_set, at, documents, member, shelf, snapshot

FULL = a_set("F1", 0, 0x1000, 0x2000)
QUIET = shelf(FULL, a_range("l1", 20, 0x1000, 0x3000), a_range("l2", 50, 0x3000, 0x5000))
MEMBER = {"connection": "${env:DB}", "server": {"data_directory": "/srv/data", "binaries": "/usr/lib/pg/bin"}}
TWO = {
    "seoul-1": {"site": "seoul", **MEMBER},
    "busan-1": {"site": "busan", **MEMBER},
}


def declared(strategy: str, *, members: dict[str, Any] | None = None, **scenario: Any) -> Documents:
    plain = documents(stores__policy_db__members=members or TWO).model_dump(mode="json")
    plain["sites"]["busan"]["reach"] = "local"
    plain["scenarios"]["db-lost"] |= {"strategy": strategy, **scenario}
    return Documents.model_validate(plain)


def replica(lag: float | None = 3.0, **details: Any) -> MemberLook:
    return member("replica", name="busan-1", site="busan", lag_seconds=lag, **details)


def lost(state: str = "unreachable") -> MemberLook:
    return member(state)


def plan(made: Documents, *members: MemberLook, catalog: Any = QUIET, **asked: Any) -> Plan:
    seen = snapshot(catalog, *members, durations=asked.pop("durations", ()))
    services = asked.pop("services", {})
    seen = Snapshot.model_validate({**dict(seen), "services": services})
    intent = Intent(**{"kind": "recover", "scenario": "db-lost", "to": "latest", **asked})
    return plan_recovery(made, seen, intent, "d", "t")


def actions(made: Plan, store: str = "policy-db") -> list[str]:
    return [step.action for step in made.steps if step.subject == store]


def codes(made: Plan) -> set[str]:
    return {finding.code for finding in made.findings}


FAILOVER = ["fence", "promote", "prove-primary", "repoint", "create-slot"]


def test_a_failover_fences_the_old_primary_before_it_promotes() -> None:
    made = plan(declared("failover"), lost(), replica())
    assert actions(made)[:5] == FAILOVER
    steps = {step.action: step for step in made.steps if step.subject == "policy-db"}
    assert steps["fence"].id in steps["promote"].needs
    assert (steps["fence"].site, steps["promote"].site) == ("seoul", "busan")
    assert not steps["promote"].reversible
    assert steps["promote"].destructive
    start = next(step for step in made.steps if step.id == "auth.start")
    assert "policy-db.repoint" in start.needs
    assert "step-not-built" in codes(made)
    assert any("busan-1 is a replica 3 s behind and its site busan is not struck" in one for one in made.choices)


def test_an_old_primary_at_a_lost_site_is_proved_down_by_a_person() -> None:
    made = plan(declared("failover", disruption="site", affects={"sites": ["seoul"]}), lost(), replica())
    fence = next(step for step in made.steps if step.action == "fence")
    assert fence.site == "busan"
    assert "is it certain that seoul-1 is down" in fence.approve
    assert not fence.destructive


def test_one_that_is_stopped_is_fenced_too() -> None:
    assert actions(plan(declared("failover"), lost("stopped"), replica()))[0] == "fence"


def test_the_loss_of_a_failover_is_the_lag_as_seen() -> None:
    made = plan(declared("failover"), lost(), replica(20.0))
    row = next(row for row in made.forecasts if row.subject == "policy-db")
    assert (row.objective, row.expected, row.verdict) == ("rpo", 20.0, "pass")
    made = plan(declared("failover"), lost(), replica(400.0))
    assert "rpo-breach" in codes(made)


def test_a_lag_that_nobody_saw_stays_unknown() -> None:
    made = plan(declared("failover"), lost(), replica(None))
    row = next(row for row in made.forecasts if row.subject == "policy-db")
    assert (row.expected, row.verdict) == (None, "could_not_verify")


def test_a_replica_that_has_all_that_the_primary_flushed_lags_by_nothing() -> None:
    """Where nothing is written, the time since the last commit grows and nothing lacks."""
    made = plan(declared("failover"), member("primary"), replica(4000.0, flush_lsn="0/5000"))
    assert next(row for row in made.forecasts if row.subject == "policy-db").expected == 0.0


@pytest.mark.parametrize(
    ("members", "looks", "down", "why"),
    [
        (TWO, [replica()], ("busan",), "busan-1: its site busan is lost"),
        (
            {**TWO, "busan-1": {**TWO["busan-1"], "promote": False}},
            [replica()],
            (),
            "busan-1: the documents say 'promote: false'",
        ),
        (TWO, [member("stopped", name="busan-1", site="busan")], (), "busan-1: it is stopped"),
    ],
)
def test_what_is_not_promoted_is_told_with_the_reason(
    members: dict[str, Any], looks: list[MemberLook], down: tuple[str, ...], why: str
) -> None:
    made = plan(declared("failover", members=members), lost(), *looks, sites_down=down)
    told = next(finding for finding in made.findings if finding.code == "failover-impossible")
    assert why in told.detail
    assert "--strategy restore" in told.hint
    assert actions(made) == []
    automatic = plan(declared("auto", members=members), lost(), *looks, sites_down=down)
    assert "promote" not in actions(automatic)
    assert any(choice.startswith("restore: no replica") and why in choice for choice in automatic.choices)


def test_a_replica_that_nobody_sees_is_planned_with_and_never_applied() -> None:
    unseen = MemberLook(member="busan-1", site="busan", state="unknown", reason="no route")
    made = plan(declared("failover"), lost(), unseen)
    assert actions(made)[:5] == FAILOVER
    told = next(finding for finding in made.findings if finding.code == "replica-not-seen")
    assert (told.severity, "no route" in told.detail) == ("error", True)
    assert "promote" not in actions(plan(declared("auto"), lost(), unseen))


def test_the_old_primary_that_nobody_sees_is_never_what_is_promoted() -> None:
    gone = member("stopped", name="busan-1", site="busan")
    assert "promote" not in actions(plan(declared("failover"), member("unreachable"), gone))
    plain = declared("failover").model_dump(mode="json")
    plain["stores"]["policy-db"]["preferred"] = "seoul-1"
    unseen = MemberLook(member="busan-1", site="busan", state="unknown", reason="no route")
    made = plan(Documents.model_validate(plain), MemberLook(member="seoul-1", site="seoul", state="unknown"), unseen)
    assert next(step for step in made.steps if step.action == "promote").params["member"] == "busan-1"


def test_auto_says_what_it_chose_and_what_the_other_way_would_cost() -> None:
    times = tuple(
        PastDuration(action=action, subject="policy-db", count=3, seconds=600.0)
        for action in ("stage", "replay", "stop-server", "swap", "start-server", "accept")
    )
    made = plan(declared("auto"), lost("stopped"), replica(), durations=times)
    # It can be applied, which a failover cannot yet be.
    assert "promote" not in actions(made)
    assert not made.blocked
    choice = next(choice for choice in made.choices if choice.startswith("restore:"))
    assert "busan-1 is a replica 3 s behind" in choice
    assert "cannot fail over to it yet" in choice
    assert "a restore would take about 1 h and lose" in choice


def test_auto_takes_a_restore_that_loses_less_than_a_replica_far_behind() -> None:
    fresh = shelf(FULL, a_range("l1", 20, 0x1000, 0x3000), a_range("l2", 59, 0x3000, 0x5000))
    made = plan(declared("auto"), lost("stopped"), replica(3000.0), catalog=fresh)
    assert "stage" in actions(made)
    assert "promote" not in actions(made)
    assert any("more than the objective allows" in choice for choice in made.choices)


def test_auto_fails_over_where_there_is_no_backup() -> None:
    made = plan(declared("auto"), lost(), replica(3000.0), catalog=shelf())
    assert "promote" in actions(made)
    assert any("a restore is not possible now" in choice for choice in made.choices)


@pytest.mark.parametrize("disruption", ["logical", "ransomware"])
def test_a_replica_is_no_way_back_from_what_is_in_the_data(disruption: str) -> None:
    made = plan(declared("auto", disruption=disruption), lost("stopped"), replica())
    assert "promote" not in actions(made)
    assert "target-not-clean" in codes(made)
    dated = plan(declared("auto", disruption=disruption), lost("stopped"), replica(), before=at(30).isoformat())
    assert "target-not-clean" not in codes(dated)
    assert "failover-carries-damage" in codes(plan(declared("failover", disruption=disruption), lost(), replica()))


def test_a_moment_in_the_past_is_reached_by_a_restore_only() -> None:
    made = plan(declared("failover"), lost("stopped"), replica(), to=at(30).isoformat())
    assert "promote" not in actions(made)
    assert any("which no failover can do" in choice for choice in made.choices)


def test_a_store_whose_primary_stands_elsewhere_is_left_alone() -> None:
    made = declared("auto", disruption="site", affects={"sites": ["seoul"]})
    here = plan(made, lost(), member("primary", name="busan-1", site="busan"))
    assert actions(here) == []
    assert not here.blocked
    assert any(choice.startswith("partial: policy-db is left alone") for choice in here.choices)


def test_unknown_is_not_standing() -> None:
    made = declared("partial", disruption="site", affects={"sites": ["seoul"]})
    unseen = MemberLook(member="busan-1", site="busan", state="unknown", reason="no route")
    assert plan(made, lost(), unseen).blocked


def test_partial_leaves_services_alone_that_are_seen_healthy() -> None:
    plain = declared("partial").model_dump(mode="json")
    plain["services"] |= {
        "web": {"tier": 2, "runs_at": ["seoul"], "start": {"command": ["x"]}},
        "mail": {"tier": 2, "runs_at": ["seoul"], "start": {"command": ["x"]}},
    }
    plain["scenarios"]["db-lost"]["affects"] = {"stores": ["policy-db"], "services": ["web", "mail"]}
    services = {
        name: ServiceLook(service=name, verdict=verdict)
        for name, verdict in (("web", "pass"), ("mail", "could_not_verify"), ("auth", "pass"))
    }
    made = plan(Documents.model_validate(plain), lost("stopped"), replica(), services=services)
    started = {step.subject for step in made.steps if step.action == "command"}
    assert started == {"auth", "mail"}
    assert any("web" in choice and "left alone" in choice for choice in made.choices)


def test_a_store_without_replicas_is_restored_where_failover_was_asked_for() -> None:
    plain = declared("failover").model_dump(mode="json")
    plain["stores"]["graph"] = GRAPH
    plain["scenarios"]["db-lost"]["affects"] = {"stores": ["policy-db", "graph"]}
    made = plan(Documents.model_validate(plain), lost(), replica())
    assert actions(made, "graph")[:2] == ["stage", "load"]
    assert "failover-restores" in codes(made)
    plain["scenarios"]["db-lost"]["strategy"] = "auto"
    assert "failover-restores" not in codes(plan(Documents.model_validate(plain), lost(), replica()))


def test_the_command_line_overrules_the_scenario() -> None:
    made = plan(declared("failover"), lost("stopped"), replica(), strategy="restore")
    assert "stage" in actions(made)
    assert "promote" not in actions(made)


def test_a_restore_goes_where_the_scenario_says() -> None:
    made = plan(declared("restore", restore_to={"policy-db": "busan-1"}), lost("stopped"),
                member("stopped", name="busan-1", site="busan"))  # fmt: skip
    assert {step.site for step in made.steps if step.action in ("stage", "swap")} == {"busan"}
    assert any("busan-1 takes the restore, as the scenario says" in choice for choice in made.choices)


def test_two_primaries_block_a_failover() -> None:
    made = plan(declared("failover", members={**TWO, "third": {"site": "seoul", **MEMBER}}),
                member("primary"), replica(), member("primary", name="third"))  # fmt: skip
    assert "primaries-several" in codes(made)
    assert made.blocked


def test_a_replica_behind_what_is_declared_is_told() -> None:
    members = {**TWO, "busan-1": {**TWO["busan-1"], "lag": "10s"}}
    assert "replica-behind" in codes(plan(declared("failover", members=members), lost(), replica(30.0)))
    assert "replica-behind" not in codes(plan(declared("failover", members=members), lost(), replica(3.0)))


def test_the_time_of_the_decision_counts() -> None:
    times = (
        *(
            PastDuration(action=action, subject="policy-db", count=3, seconds=60.0)
            for action in ("stage", "replay", "stop-server", "swap", "start-server", "accept")
        ),
        *(PastDuration(action=action, subject="auth", count=3, seconds=60.0) for action in ("command", "health")),
    )
    quick, slow = (
        next(
            row
            for row in plan(declared("restore", **more), lost("stopped"), replica(), durations=times).forecasts
            if row.objective == "rto"
        )
        for more in ({}, {"decide": "30m"})
    )
    assert quick.expected is not None
    assert slow.expected == quick.expected + 1800
    assert "(declared)" in slow.basis
    assert "(declared)" not in quick.basis


def test_a_decision_that_is_over_is_counted_once() -> None:
    made = declared("restore", decide="30m")
    times = tuple(PastDuration(action=one, subject="auth", count=1, seconds=0.0) for one in ("command", "health"))
    late = plan(made, lost("stopped"), replica(), failed_at=at(0).isoformat(), durations=times)
    assert all("(declared)" not in row.basis for row in late.forecasts)


def test_no_service_is_in_time_while_its_store_has_no_way_back() -> None:
    times = tuple(PastDuration(action=one, subject="auth", count=1, seconds=1.0) for one in ("command", "health"))
    made = plan(declared("restore"), lost("stopped"), replica(), catalog=shelf(), durations=times)
    assert made.blocked
    assert {row.verdict for row in made.forecasts} == {"could_not_verify"}


def test_what_something_else_manages_is_waited_for_and_paused_first() -> None:
    plain = declared("restore").model_dump(mode="json")
    plain["services"]["auth"]["managed_by"] = "kubernetes"
    plain["stores"]["policy-db"]["managed_by"] = "Patroni"
    made = plan(Documents.model_validate(plain), lost("stopped"), replica())
    assert [step.id for step in made.steps if step.subject == "auth"] == ["auth.health"]
    told = next(finding for finding in made.findings if finding.code == "store-managed")
    assert "pause Patroni" in told.hint
    del plain["services"]["auth"]["health"]
    seen = plan(Documents.model_validate(plain), lost("stopped"), replica())
    only = [step for step in seen.steps if step.subject == "auth"]
    assert [(step.action, step.gate, step.approve) for step in only] == [("manual", True, "does it run?")]


def test_nothing_is_promoted_before_the_disaster_was_declared() -> None:
    plain = declared("failover").model_dump(mode="json")
    plain["team"] = {"lead": {"people": ["Ha-eun Choi"]}}
    plain["scenarios"]["db-lost"]["steps"] = {"declare": {"assess": {"manual": "Assess it", "by": "lead"}}}
    made = plan(Documents.model_validate(plain), lost(), replica())
    by_id = {step.id: step for step in made.steps}
    assert "declare.assess" in by_id["policy-db.promote"].needs
    assert by_id["declare.assess"].approve == "lead: is it done?"
    assert "Ha-eun Choi" in by_id["declare.assess"].reason


@pytest.mark.parametrize(
    ("name", "why"),
    [("seoul-1", "seoul-1, which --member names, is its primary already"), ("busan-9", "busan-9 is no member of it")],
)
def test_a_member_that_cannot_be_promoted_is_told_apart_from_having_none(name: str, why: str) -> None:
    made = plan(declared("failover"), member("primary"), replica(), options={"member": name})
    told = next(finding for finding in made.findings if finding.code == "failover-impossible")
    assert why in told.detail
    assert "no other member" not in told.detail
    alone = plan(declared("failover", members={"seoul-1": TWO["seoul-1"]}), member("primary"))
    assert "it has no other member" in next(one for one in alone.findings if one.code == "failover-impossible").detail


def test_one_plan_says_one_time_in_one_way() -> None:
    members = {**TWO, "busan-1": {**TWO["busan-1"], "lag": "1m"}}
    made = plan(declared("failover", members=members), lost(), replica(754.0))
    details = {finding.code: finding.detail for finding in made.findings}
    assert any("busan-1 is a replica 13 min behind" in choice for choice in made.choices)
    assert "busan-1: 13 min behind, at most 1 min are declared" in details["replica-behind"]
    assert "policy-db: 13 min expected, 5 min allowed" in details["rpo-breach"]


def at_site(phase: str, **scenario: Any) -> Documents:
    step = {"run": ["/opt/do"], "site": "seoul", "estimate": "2m"}
    return declared("restore", affects={"sites": ["seoul"]}, steps={phase: {"lb": step}}, **scenario)


def test_a_step_at_a_lost_site_stands_against_the_plan() -> None:
    made = plan(at_site("traffic", disruption="site"), lost(), replica())
    told = next(one for one in made.findings if one.code == "step-at-lost-site")
    assert (told.severity, told.subject) == ("error", "seoul")
    assert "traffic.lb" in told.detail
    assert "another 'site'" in told.hint
    needs = {one.summary: one.state for one in judged(made, wanted(made)) if one.code == "step-at-lost-site"}
    assert set(needs.values()) == {"missing"}


def test_what_isolates_a_spoiled_site_runs_there() -> None:
    made = plan(at_site("isolate", disruption="ransomware"), lost(), replica())
    assert any(step.site == "seoul" for step in made.steps)
    assert "step-at-lost-site" not in codes(made)


def test_a_site_said_to_be_down_takes_its_steps_with_it() -> None:
    step = {"run": ["/opt/do"], "site": "busan"}
    made = plan(declared("restore", steps={"traffic": {"lb": step}}), lost(), replica(), sites_down=("busan",))
    assert "traffic.lb" in next(one for one in made.findings if one.code == "step-at-lost-site").detail


def test_what_could_not_be_brought_back_before_is_not_lost_anew() -> None:
    made = declared("failover")
    looks = (lost(), replica().model_copy(update={"state": "unreachable"}))
    before = plan(made, *looks)
    assert any(one.severity == "error" and one.subject == "policy-db" for one in before.findings)
    assert actions(before)
    answer = what_if_down(before, "seoul", lambda intent: plan(made, *looks, sites_down=intent.sites_down))
    assert answer.lost == ()
    answer = what_if_down(before, "busan", lambda intent: plan(made, *looks, sites_down=intent.sites_down))
    assert answer.lost == ("policy-db",)
