"""What would become of a run if a step failed: the same as what becomes of a real one in which it does."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from aegis_plan.errors import UsageError
from aegis_plan.plan.plan import Intent
from aegis_plan.plan.step import Estimate, Step
from aegis_plan.report.terminal import console
from aegis_plan.report.what_if import show_failure
from aegis_plan.run.what_if import what_if_fails
from tests.plan.graphs import Kind, random_steps
from tests.plan.test_recovery import LOST, QUIET, recover
from tests.plan.world import member, snapshot
from tests.run.scripted import NOW, Room, outcome, plan, step

SECOND = Estimate(seconds=1, basis="declared")


def risky(seed: int) -> tuple[Step, ...]:
    """Random steps of every kind that the rules of failing tell apart, all as long."""
    dice = Random(seed + 1_000_000)
    return tuple(
        one.model_copy(
            update={
                "estimate": SECOND,
                "destructive": dice.random() < 0.25,
                "reversible": dice.random() < 0.7,
                "scratch": dice.random() < 0.2,
                "repeatable": dice.random() < 0.8,
                "symbol": dice.choice(("+", "~", "-/+", "<=")),
                "on_error": "continue" if dice.random() < 0.2 else "stop",
                "retries": dice.choice((0, 0, 1)),
                "retry_delay": 0.0,
            }
        )
        for one in random_steps(seed, Kind(most=14, unknown=False, people=False))
    )


@pytest.mark.parametrize("block", range(8))
def test_it_says_what_a_real_run_does(tmp_path: Path, block: int) -> None:
    for seed in range(block, 300, 8):
        steps = risky(seed)
        failing = steps[Random(seed).randrange(len(steps))]
        made = plan(*steps, parallelism=1 + seed % 4)
        answer = what_if_fails(made, failing.id)
        removing = failing.destructive and not failing.reversible
        marks = [{"name": "begun", "at": NOW.isoformat()}] if removing else []
        room = Room(tmp_path / str(seed), {f"{failing.id}:act": [outcome("failed", marks=marks)] * 9})
        executor = room.executor(made)
        result = executor.apply()
        state = executor.state
        where = (seed, failing.id)
        assert answer.not_run == tuple(one.id for one in steps if not state.step(one.id).numbers), where
        assert (answer.verdict, answer.exit_code) == (result.verdict, result.exit_code), where
        assert answer.attempts == state.step(failing.id).numbers.get("act", 0), where
        assert answer.undone == tuple(room.dispatcher.effects("undo")), where
        for one in steps:
            real = state.step(one.id).state
            told = answer.states[one.id]
            assert told == real or (told in ("held", "waiting") and real == "waiting"), (*where, one.id)


def test_what_hangs_on_a_step_stays_down_and_the_rest_goes_on() -> None:
    answer = what_if_fails(recover(snapshot(QUIET, LOST)), "policy-db.replay")
    assert (answer.becomes, answer.verdict, answer.stores_down) == ("failed", "failed", ("policy-db",))
    assert {"policy-db.swap", "auth.start", "auth.health"} <= set(answer.not_run)
    assert answer.undone == ("policy-db.replay", "policy-db.stage")
    assert [(one.about, one.subject) for one in answer.down] == [("tier", "tier 1 (critical)"), ("service", "auth")]


@pytest.mark.parametrize(
    ("failing", "state", "old", "said"),
    [
        ("stage", "primary", "untouched", "store policy-db: not touched, its old server goes on"),
        ("stop", "primary", "back", "store policy-db: served by the old data again"),
        ("swap", "primary", "back", "store policy-db: served by the old data again"),
        ("stage", "stopped", "untouched", "store policy-db: not touched, it stays as it was seen"),
        ("swap", "stopped", "back", "store policy-db: its old data is back where it was, and not served"),
    ],
)
def test_what_is_with_the_old_data_then_is_told(failing: str, state: str, old: str, said: str) -> None:
    made = recover(snapshot(QUIET, member(state)))
    answer = what_if_fails(made, f"policy-db.{failing}")
    assert answer.old == {"policy-db": old}
    out = console(color=False, width=120)
    with out.capture() as shown:
        show_failure(made, answer, out)
    assert said in shown.get()


def test_a_store_whose_old_data_was_removed_stays_down() -> None:
    steps = (
        step("db.clear-place", subject="policy-db", destructive=True, reversible=False, symbol="-"),
        step("db.accept", "db.clear-place", subject="policy-db", action="accept"),
    )
    update = {"steps": steps, "serves": {"policy-db": "db.accept"}}
    made = recover(snapshot(QUIET, LOST)).model_copy(update=update)
    assert what_if_fails(made, "db.accept").old == {"policy-db": "gone"}


def test_a_step_whose_failure_is_passed_over_keeps_nothing_down() -> None:
    answer = what_if_fails(recover(snapshot(QUIET, LOST)), "policy-db.create-slot")
    assert (answer.stores_down, answer.down) == ((), ())
    assert answer.exit_code == 0
    assert answer.becomes == "passed"


def test_a_check_of_ones_own_that_is_passed_over_keeps_nobody_down() -> None:
    step = {"run": ["scan"], "estimate": "5m", "tier": 1, "on_error": "continue"}
    made = recover(snapshot(QUIET, LOST), changes={"scenarios__db_lost__steps": {"verify": {"scan": step}}})
    assert what_if_fails(made, "verify.scan").down == ()
    del step["on_error"]
    made = recover(snapshot(QUIET, LOST), changes={"scenarios__db_lost__steps": {"verify": {"scan": step}}})
    assert {one.subject for one in what_if_fails(made, "verify.scan").down} == {"tier 1 (critical)", "auth"}


def test_what_comes_back_later_is_told() -> None:
    """A slow step that is passed over still delays what waits for it."""
    minute = Estimate(seconds=60, basis="declared")
    made = plan(
        step("a", estimate=minute, on_error="continue", retries=1, retry_delay=1),
        step("auth.start", "a", estimate=minute, subject="auth", phase="services"),
        intent=Intent(kind="recover", scenario="lost"),
    )
    assert what_if_fails(made, "a").becomes == "passed"
    assert what_if_fails(made, "a").attempts == 2
    assert what_if_fails(made, "a").not_run == ()


def test_a_name_that_is_no_step_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        what_if_fails(plan(step("policy-db.stage")), "policy-db.stge")
    assert caught.value.code == "step-unknown"
    assert "policy-db.stage" in caught.value.hint
