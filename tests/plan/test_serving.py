"""After which step a store serves: its engine says it, the plan file carries it, and no planner guesses it."""

from __future__ import annotations

from aegis_plan.plan.plan import Intent, Plan
from aegis_plan.plan.planfile import read, write
from aegis_plan.plan.recover import plan_recovery
from aegis_plan.plan.serving import serving_of
from tests.plan.test_strategies import QUIET, declared, plan, replica
from tests.plan.test_whole_stores import three
from tests.plan.world import documents, member, snapshot


def restored(**asked: str) -> Plan:
    intent = Intent(kind="recover", scenario="db-lost", to="latest", **asked)
    return plan_recovery(three(), snapshot(QUIET, member("stopped")), intent, "d", "t")


def kinds(made: Plan) -> dict[str, str]:
    actions = {step.id: step.action for step in made.steps}
    return {store: actions[step] for store, step in made.serves.items()}


def test_each_engine_says_after_which_step_its_store_serves() -> None:
    assert kinds(restored()) == {"policy-db": "accept", "graph": "accept"}
    assert kinds(restored(beside="/srv/beside")) == {"policy-db": "replay", "graph": "load"}
    over = plan(declared("failover"), member("unreachable"), replica())
    assert kinds(over) == {"policy-db": "repoint"}


def test_no_service_waits_for_the_backup_that_follows() -> None:
    made = restored()
    start = next(step for step in made.steps if step.id == "auth.start")
    assert set(made.serves.values()) <= set(start.needs)
    after = [step.id for step in made.steps if step.action == "backup"]
    assert after, "each store is backed up again"
    assert not set(after) & {*start.needs, *made.serves.values()}


def test_the_plan_file_carries_it_in_words_that_the_planner_does_not_know() -> None:
    """An engine whose last step before it serves is of a kind that no other has."""
    made = restored()
    renamed = [step.model_copy(update={"action": "open"}) if step.action == "accept" else step for step in made.steps]
    again, _ = read(write(made.model_copy(update={"steps": tuple(renamed)})))
    assert serving_of(again).stores["policy-db"] == made.serves["policy-db"]


def test_a_plan_of_a_version_that_did_not_carry_it_is_still_read() -> None:
    for made in (restored(), plan(declared("failover"), member("unreachable"), replica())):
        older = made.model_copy(update={"serves": {}})
        assert serving_of(older) == serving_of(made)
    whole = plan_recovery(
        documents(),
        snapshot(QUIET, member("stopped")),
        Intent(kind="recover", scenario="db-lost", to="latest"),
        "d",
        "t",
    )
    assert serving_of(whole).stores == {"policy-db": "policy-db.accept"}
