"""Explaining a step, and what becomes of a plan when a site is down."""

from __future__ import annotations

import pytest

from aegis_plan.plan.explain import explain, waiting_for
from aegis_plan.plan.plan import Intent, Plan
from aegis_plan.plan.recover import plan_recovery
from aegis_plan.plan.schedule import schedule
from aegis_plan.plan.what_if import SiteDown, what_if_down
from tests.plan.graphs import random_steps, waits
from tests.plan.test_forecast import all_past
from tests.plan.test_recovery import LOST, QUIET, recover
from tests.plan.world import snapshot
from tests.run.scripted import plan


@pytest.mark.parametrize("block", range(4))
def test_what_waits_for_a_step_is_what_a_walk_over_all_edges_finds(block: int) -> None:
    for seed in range(block, 300, 4):
        steps = random_steps(seed)
        need = waits(steps)
        made = plan(*steps)
        for step in steps:
            behind, grown = {step.id}, True
            while grown:
                more = {other.id for other in steps if need[other.id] & behind} - behind
                grown, behind = bool(more), behind | more
            assert waiting_for(made, step) == behind - {step.id}, (seed, step.id)
            found = explain(made, step.id)
            assert found is not None
            assert {*found.needs, *found.gates} == need[step.id]
            assert set(found.followers) == {other.id for other in steps if step.id in need[other.id]}
            assert sum(map(len, found.dependents.values())) == len(behind) - 1
            assert found.timing == schedule(made).steps[step.id]


def test_a_step_says_why_when_and_what_is_behind_it() -> None:
    found = explain(recover(snapshot(QUIET, LOST, durations=all_past(200.0))), "policy-db.swap")
    assert found is not None
    assert (found.place, found.tier, found.timing.begin, found.timing.binding) == (
        4,
        "tier 1 (critical)",
        300.0,
        "policy-db.stop",
    )
    assert found.timing.hold == "need"
    assert {"auth.health", "policy-db.accept"} <= set(found.dependents["1"])
    assert found.rest_on == "1 min 40 s, measured 5 times (p50 1 min 40 s, p95 3 min 20 s)"
    assert explain(recover(snapshot(QUIET, LOST)), "policy-db.swop") is None


def down(made: Plan, site: str) -> SiteDown:
    def make(intent: Intent) -> Plan:
        return plan_recovery(made.documents, made.snapshot, intent, made.documents_digest, made.tool)

    return what_if_down(made, site, make)


def test_a_site_that_holds_everything_takes_the_store_with_it() -> None:
    made = recover(snapshot(QUIET, LOST, durations=all_past(None)))
    answer = down(made, "seoul")
    assert answer.lost == ("policy-db",)
    assert [finding.code for finding in answer.errors] == ["no-place"]
    verdicts = {(one.subject, one.objective): one.then_verdict for one in answer.moved}
    assert verdicts["auth", "rto"] == verdicts["tier 1 (critical)", "rto"] == "could_not_verify"
    assert verdicts["policy-db", "rpo"] == "could_not_verify"


def test_the_answer_is_that_of_a_plan_made_anew() -> None:
    made = recover(snapshot(QUIET, LOST, durations=all_past(None)))
    for site in ("seoul", "busan"):
        asked = made.intent.model_copy(update={"sites_down": (site,)})
        anew = plan_recovery(made.documents, made.snapshot, asked, made.documents_digest, made.tool)
        answer = down(made, site)
        assert answer.plan == anew
        after = {(one.subject, one.objective): one for one in anew.forecasts}
        before = {(one.subject, one.objective): one for one in made.forecasts}
        for key in {*before, *after}:
            told = next((one for one in answer.moved if (one.subject, one.objective) == key), None)
            then = after[key].expected if key in after else None
            assert told is None or (told.then, told.planned) == (then, before[key].expected if key in before else None)
            if told is None:
                assert (before[key].expected, before[key].verdict) == (after[key].expected, after[key].verdict)


def test_a_site_that_nothing_needs_changes_nothing() -> None:
    answer = down(recover(snapshot(QUIET, LOST)), "busan")
    assert (answer.lost, answer.errors, answer.moved, answer.steps) == ((), (), (), ())
