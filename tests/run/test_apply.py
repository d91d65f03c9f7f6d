"""Applying a plan: order, outputs, failures, rollback, interruption, staleness, one life and the next."""

from __future__ import annotations

import fcntl
import io
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from aegis_plan.clock import SystemClock
from aegis_plan.errors import AegisError, LockedError, StaleError
from aegis_plan.journal.file import read
from aegis_plan.journal.mirror import Mirror
from aegis_plan.journal.replay import replay
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan.plan import Intent
from aegis_plan.plan.step import Fact, Step
from aegis_plan.report.result import show_result
from aegis_plan.repositories import keys, lease
from aegis_plan.run.approval import Approval
from aegis_plan.run.inbox import send
from aegis_plan.run.result import Result
from tests.journal.test_journal import Away, seal
from tests.run.scripted import NOW, Room, outcome, plan, step, trouble

CLOCK = SystemClock()


def test_steps_run_in_the_order_of_their_needs_and_tiers(tmp_path: Path) -> None:
    room = Room(tmp_path)
    made = plan(step("a"), step("b", "a"), step("c", "b"), step("later", tier=2), step("first", tier=0))
    result = room.executor(made, parallel=1).apply()
    assert (result.verdict, result.exit_code) == ("done", 0)
    assert room.dispatcher.effects() == ["first", "a", "b", "c", "later"]


def test_gates_hold_services_of_lower_tiers_but_not_their_data(tmp_path: Path) -> None:
    room = Room(tmp_path, {"health-1:act": [outcome("done", hang=True)]})
    made = plan(
        step("health-1", phase="services", gate=True),
        step("data-2", tier=2),
        step("service-2", tier=2, phase="services"),
    )
    executor = room.executor(made)
    thread = threading.Thread(target=executor.apply)
    thread.start()
    until(lambda: "data-2:act" in room.dispatcher.sent())
    time.sleep(0.1)
    assert "service-2:act" not in room.dispatcher.sent()
    room.dispatcher.hanging.clear()
    thread.join(10)
    assert room.dispatcher.effects() == ["health-1", "data-2", "service-2"]


def test_outputs_and_the_run_id_reach_the_steps_that_ask_for_them(tmp_path: Path) -> None:
    room = Room(tmp_path, {"db.stage:act": [outcome("done", outputs={"path": "/x"})]})
    params = {"run": {"run": "id"}, "from": [{"output": "db.stage.path"}], "plain": {"run": "id", "more": 1}}
    made = plan(step("db.stage"), step("db.use", "db.stage", params=params, builds_on=("db.stage",)))
    room.executor(made).apply()
    sent = room.dispatcher.attempts["run-1:db.use:act:1"]
    assert sent.params == {"run": "run-1", "from": ["/x"], "plain": {"run": "id", "more": 1}}
    assert sent.outputs == {"db.stage": {"path": "/x"}}


def test_a_failed_step_is_tried_again_as_often_as_it_says(tmp_path: Path) -> None:
    failed = outcome("failed", trouble=trouble())
    room = Room(tmp_path, {"a:act": [failed, failed]})
    assert room.executor(plan(step("a", retries=2))).apply().exit_code == 0
    assert room.dispatcher.sent() == ["a:act"] * 3


def test_what_depends_on_a_failed_step_is_skipped_and_the_rest_is_done(tmp_path: Path) -> None:
    room = Room(tmp_path, {"a:act": [outcome("failed", trouble=trouble())]})
    result = room.executor(plan(step("a"), step("b", "a"), step("c", "b"), step("d"))).apply()
    assert (result.verdict, result.exit_code) == ("failed", 1)
    assert {one.id: one.state for one in result.steps} == {"a": "failed", "b": "skipped", "c": "skipped", "d": "done"}
    assert result.steps[2].cause == "a did not succeed"
    assert result.steps[0].trouble is not None
    assert result.steps[0].trouble["code"] == "broken"


def test_a_failure_that_may_be_passed_over_makes_the_run_degraded(tmp_path: Path) -> None:
    room = Room(tmp_path, {"a:act": [outcome("failed", trouble=trouble())]})
    result = room.executor(plan(step("a", on_error="continue"), step("b", "a"))).apply()
    assert (result.verdict, result.exit_code) == ("degraded", 0)
    assert room.dispatcher.effects() == ["b"]


def restore(**more: object) -> list:
    names = ["stage", "replay", "stop-server", "archive-tail", "swap", "start-server", "accept", "backup"]
    kinds = {
        "stop-server": {"destructive": True, "symbol": "~"},
        "swap": {"destructive": True, "symbol": "-/+"},
        "archive-tail": {"reversible": False},
        "accept": {"reversible": False, "symbol": "~"},
        "backup": {"reversible": False},
    }
    steps, before = [], ()
    for name in names:
        steps.append(step(f"db.{name}", *before, action=name, subject="db", lease="db/data", **kinds.get(name, {})))
        before = (f"db.{name}",)
    return [*steps, step("app.start", *before, subject="app", phase="services")]


def test_a_failure_after_the_server_was_touched_takes_everything_back_in_reverse(tmp_path: Path) -> None:
    marks = [{"name": "renamed", "data": {"to": "old"}, "at": "2026-11-23T12:00:00Z"}]
    room = Room(
        tmp_path,
        {
            "db.swap:act": [outcome("done", outputs={"old": "/old"}, marks=marks)],
            "db.start-server:act": [outcome("failed", trouble=trouble())],
        },
    )
    result = room.executor(plan(*restore(), step("other"))).apply()
    assert result.exit_code == 1
    assert room.dispatcher.effects("undo") == ["db.start-server", "db.swap", "db.stop-server", "db.replay", "db.stage"]
    states = {one.id: one.state for one in result.steps}
    assert (states["db.swap"], states["db.accept"], states["app.start"]) == ("undone", "skipped", "skipped")
    assert (states["db.archive-tail"], states["other"]) == ("done", "done")
    undo = room.dispatcher.attempts["run-1:db.swap:undo:1"]
    assert undo.earlier.outputs == {"old": "/old"}
    assert [mark.name for mark in undo.earlier.marks] == ["renamed"]


def test_nothing_is_taken_back_before_the_server_was_touched_or_after_acceptance(tmp_path: Path) -> None:
    for name in ("db.replay", "db.backup"):
        room = Room(tmp_path / name, {f"{name}:act": [outcome("failed", trouble=trouble())]})
        assert room.executor(plan(*restore())).apply().exit_code == 1
        assert room.dispatcher.effects("undo") == []


REMOVED = [{"name": "clearing", "data": {}, "at": "2026-11-23T12:00:00Z"}]


def removing() -> list[Step]:
    """A restore that removes the old data first."""
    kinds: dict[str, dict[str, Any]] = {
        "stop-server": {"destructive": True},
        "clear-place": {"destructive": True, "reversible": False, "symbol": "-"},
        "accept": {"reversible": False, "symbol": "~"},
        "backup": {"reversible": False, "on_error": "continue"},
    }
    steps: list[Step] = []
    for name in ("prove", "stop-server", "clear-place", "stage", "start-server", "accept", "backup"):
        needs = (steps[-1].id,) if steps else ()
        steps.append(step(f"db.{name}", *needs, action=name, subject="db", lease="db/data", **kinds.get(name, {})))
    return [*steps, step("app.start", steps[-2].id, subject="app", phase="services")]


@pytest.mark.parametrize("name", ["stage", "start-server", "accept"])
def test_behind_a_removal_a_failure_waits_for_a_resume_and_takes_nothing_back(tmp_path: Path, name: str) -> None:
    failed = outcome("failed", trouble=trouble())
    done = outcome("done", marks=REMOVED)
    room = Room(tmp_path, {"db.clear-place:act": [done], f"db.{name}:act": [failed] * 2})
    made = plan(*removing(), step("other"))
    result = room.executor(made).apply()
    assert (result.verdict, result.exit_code) == ("stopped", 6)
    assert room.dispatcher.effects("undo") == []
    assert f"db.{name}" in result.reason
    assert "cannot be put back" in result.reason
    states = {one.id: one.state for one in result.steps}
    assert (states[f"db.{name}"], states["app.start"], states["other"]) == ("waiting", "waiting", "done")
    assert room.executor(made).resume().exit_code == 6, "it failed again"
    assert room.executor(made).resume().exit_code == 0
    assert room.dispatcher.effects().count("db.clear-place") == 1
    assert "app.start" in room.dispatcher.effects()


def test_a_removal_that_failed_half_way_is_never_followed_by_a_start_of_the_old_server(tmp_path: Path) -> None:
    failed = outcome("failed", trouble=trouble(), marks=REMOVED)
    room = Room(tmp_path, {"db.clear-place:act": [failed]})
    made = plan(*removing())
    assert room.executor(made).apply().exit_code == 6
    assert room.dispatcher.effects("undo") == []
    assert room.executor(made).resume().exit_code == 0


def test_a_removal_that_refused_before_it_touched_anything_lets_the_old_server_start_again(tmp_path: Path) -> None:
    room = Room(tmp_path, {"db.clear-place:act": [outcome("failed", trouble=trouble())]})
    result = room.executor(plan(*removing())).apply()
    assert result.exit_code == 1
    assert room.dispatcher.effects("undo") == ["db.stop-server", "db.prove"]


def test_what_protects_again_may_still_fail_behind_a_removal(tmp_path: Path) -> None:
    room = Room(tmp_path, {"db.backup:act": [outcome("failed", trouble=trouble())]})
    result = room.executor(plan(*removing())).apply()
    assert (result.verdict, result.exit_code) == ("degraded", 0)


def test_the_failure_and_why_it_could_not_be_taken_back_are_both_told(tmp_path: Path) -> None:
    script = {
        "db.start-server:act": [outcome("failed", trouble=trouble())],
        "db.start-server:undo": [outcome("failed", trouble=trouble("stuck"))] * 2,
    }
    said = shown(Room(tmp_path, script).executor(plan(*restore())).apply())
    assert "db.start-server error[broken]" in said
    assert "db.start-server error[stuck]" in said


def shown(result: Result) -> str:
    out = Console(width=200, record=True, file=io.StringIO())
    show_result(result, out)
    return out.export_text()


def test_an_undo_that_cannot_be_made_is_put_to_a_person_and_the_rest_waits_for_it(tmp_path: Path) -> None:
    failed = outcome("failed", trouble=trouble())
    stuck = outcome("failed", trouble=trouble("stuck"))
    room = Room(tmp_path, {"db.start-server:act": [failed], "db.swap:undo": [stuck] * 2})
    made = plan(*restore())
    result = room.executor(made).apply()
    assert result.exit_code == 1
    assert list(result.questions) == ["db.swap"]
    said = shown(result)
    assert "db.swap error[stuck]" in said
    assert "db.start-server error[broken]" in said
    assert "db.stop-server" not in room.dispatcher.effects("undo")
    send(tmp_path / "runs" / "run-1", "answer", CLOCK, step="db.swap", word="done", by="ada")
    result = room.executor(made).resume()
    assert result.exit_code == 1
    assert room.dispatcher.effects("undo")[-3:] == ["db.stop-server", "db.replay", "db.stage"]


@pytest.mark.parametrize(
    ("answer", "code", "sent"),
    [("satisfied", 0, 1), ("needed", 0, 2), ("unknown", 7, 1)],
)
def test_an_unknown_outcome_is_probed_and_never_sent_again_blindly(
    tmp_path: Path, answer: str, code: int, sent: int
) -> None:
    room = Room(tmp_path, {"a:act": [outcome("unknown")], "a:probe": [outcome("done", answer=answer)]})
    result = room.executor(plan(step("a"), step("b", "a"))).apply()
    assert result.exit_code == code
    assert room.dispatcher.sent().count("a:act") == sent
    assert ("b:act" in room.dispatcher.sent()) == (code == 0)


def test_a_person_answers_what_nobody_knows_and_the_run_goes_on(tmp_path: Path) -> None:
    room = Room(tmp_path, {"a:act": [outcome("unknown")], "a:probe": [outcome("done", answer="unknown")]})
    made = plan(step("a"), step("b", "a"))
    assert room.executor(made).apply().questions.keys() == {"a"}
    send(tmp_path / "runs" / "run-1", "answer", CLOCK, step="a", word="done", by="ada")
    assert room.executor(made).resume().exit_code == 0
    assert room.dispatcher.sent() == ["a:act", "a:probe", "b:act"]


def test_another_ledgers_answer_is_not_believed(tmp_path: Path) -> None:
    room = Room(tmp_path, {"a:act": [outcome("done", hang=True)], "a:probe": [outcome("done", answer="unknown")]})
    made = plan(step("a"))
    executor = room.executor(made, stop_grace=0.0)
    room.dispatcher.cancel = lambda key, reason: None  # type: ignore[method-assign]  # a site that does not answer
    thread = threading.Thread(target=executor.apply)
    thread.start()
    until(lambda: bool(room.dispatcher.sent()))
    executor.interrupt()
    thread.join(10)
    room.dispatcher.hanging.clear()
    room.dispatcher.id = "ledger-2"
    assert room.executor(made).resume().exit_code == 7


def test_a_step_waits_for_its_approval_by_command(tmp_path: Path) -> None:
    room = Room(tmp_path)
    executor = room.executor(plan(step("a", approve="really?"), step("b")))
    thread = threading.Thread(target=executor.apply)
    thread.start()
    until(lambda: "b:act" in room.dispatcher.sent())
    assert room.dispatcher.sent() == ["b:act"]
    send(tmp_path / "runs" / "run-1", "approve", CLOCK, step="a", by="ada")
    thread.join(10)
    assert room.dispatcher.effects() == ["b", "a"]


def test_an_approval_that_is_denied_stops_the_run_and_can_be_given_later(tmp_path: Path) -> None:
    room = Room(tmp_path)
    made = plan(step("a", approve="really?"))
    denied = room.executor(made, approve=lambda step: Approval(False, "ada", "terminal")).apply()
    assert (denied.exit_code, denied.reason) == (6, "ada did not approve a")
    given = room.executor(made, approve=lambda step: Approval(True, "ada", "terminal")).resume()
    assert given.exit_code == 0


def test_an_interrupt_asks_what_runs_to_stop_and_leaves_a_run_that_resumes(tmp_path: Path) -> None:
    room = Room(tmp_path, {"a:act": [outcome("done", hang=True)]})
    made = plan(step("a", lease="db/data"), step("b", "a", lease="db/data"))
    executor = room.executor(made)
    results = []
    thread = threading.Thread(target=lambda: results.append(executor.apply()))
    thread.start()
    until(lambda: bool(room.dispatcher.sent()))
    executor.interrupt()
    thread.join(10)
    assert (results[0].verdict, results[0].exit_code, results[0].reason) == ("stopped", 6, "interrupted")
    assert room.dispatcher.asked_to_stop == ["run-1:a:act:1"]
    found = lease.read(room.authority, keys.lease("aegis", "db", "data"))
    assert found is not None
    assert found[0].free(CLOCK.now())
    assert room.executor(made).resume().exit_code == 0
    assert room.dispatcher.sent() == ["a:act", "a:act", "b:act"]


def test_a_run_that_is_over_resumes_to_nothing(tmp_path: Path) -> None:
    room = Room(tmp_path)
    made = plan(step("a"))
    room.executor(made).apply()
    before = (tmp_path / "runs" / "run-1" / "journal.jsonl").read_bytes()
    again = room.executor(made).resume()
    assert (again.already, again.exit_code) == (True, 0)
    assert (tmp_path / "runs" / "run-1" / "journal.jsonl").read_bytes() == before


def test_a_plan_is_applied_once_unless_it_has_no_steps(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.executor(plan(step("a"))).apply()
    with pytest.raises(StaleError, match="run-1") as refused:
        room.executor(plan(step("a")), run="run-2").apply()
    assert refused.value.code == "plan-applied"
    assert not (tmp_path / "runs" / "run-2").exists()
    for run in ("run-3", "run-4"):
        assert room.executor(plan(), run=run, digest="b" * 64).apply().exit_code == 0


def test_a_held_lease_refuses_without_using_up_the_plan(tmp_path: Path) -> None:
    room = Room(tmp_path)
    key = keys.lease("aegis", "db", "data")
    other = lease.acquire(room.authority, key, "eve", "recovery", lease.default_ttl(), CLOCK, "run-0")
    made = plan(step("a", lease="db/data"))
    with pytest.raises(LockedError, match="eve") as refused:
        room.executor(made).apply()
    assert refused.value.code == "lease-held"
    assert room.dispatcher.sent() == []
    lease.release(room.authority, other, CLOCK)
    assert room.executor(made, run="run-2").apply().exit_code == 0
    assert room.dispatcher.attempts["run-2:a:act:1"].epoch > other.epoch


def test_a_recovery_makes_a_backup_stop_and_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_LEASE_SECONDS", "1.2")
    room = Room(tmp_path, {"a:act": [outcome("done", hang=True)]})
    backup = room.executor(plan(step("a", lease="db/data")))
    results = []
    thread = threading.Thread(target=lambda: results.append(backup.apply()))
    thread.start()
    until(lambda: bool(room.dispatcher.sent()))
    recovery = plan(step("r", lease="db/data"), intent=Intent(kind="recover"))
    assert room.executor(recovery, run="run-2", digest="b" * 64).apply().exit_code == 0
    thread.join(10)
    assert results[0].exit_code == 6
    assert results[0].reason == "asked to stop by recovery run-2"


def test_a_lost_lease_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_LEASE_SECONDS", "1.0")
    room = Room(tmp_path, {"a:act": [outcome("done", hang=True)]})
    results = []
    executor = room.executor(plan(step("a", lease="db/data"), step("b", "a")))
    thread = threading.Thread(target=lambda: results.append(executor.apply()))
    thread.start()
    until(lambda: bool(room.dispatcher.sent()))
    key = keys.lease("aegis", "db", "data")
    while not results:
        found = lease.read(room.authority, key)
        assert found is not None
        other = found[0].model_copy(update={"epoch": found[0].epoch + 1, "run": "run-0", "owner": "eve"})
        try:
            room.authority.compare_and_set(key, found[1], other.model_dump_json().encode())
            break
        except AegisError:
            continue
    thread.join(10)
    assert results[0].exit_code == 6
    assert "lease of db/data was lost" in results[0].reason
    assert room.dispatcher.sent() == ["a:act"]


def test_a_lease_that_cannot_be_renewed_in_time_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority does not refuse, it hangs: nothing comes back, and meanwhile the lease runs out for everybody."""
    monkeypatch.setenv("AEGIS_LEASE_SECONDS", "1.5")
    room = Room(tmp_path, {"a:act": [outcome("done", hang=True)]})
    results = []
    executor = room.executor(plan(step("a", lease="db/data"), step("b", "a", lease="db/data")))
    thread = threading.Thread(target=lambda: results.append(executor.apply()), daemon=True)
    thread.start()
    until(lambda: bool(room.dispatcher.sent()))
    key = keys.lease("aegis", "db", "data")
    path = room.folder / "state" / key
    with (path.parent / f".{path.name}.lock").open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        thread.join(15)
        # It ends although the authority still hangs.
        assert results, "the run went on without its lease"
    assert results[0].exit_code == 6
    assert "lease of db/data was lost" in results[0].reason
    assert room.dispatcher.sent() == ["a:act"]


def test_a_site_that_is_away_is_asked_again_and_then_fails_the_step(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.dispatcher.down.add("seoul")
    result = room.executor(plan(step("a"))).apply()
    assert result.exit_code == 1
    assert result.steps[0].trouble is not None
    assert result.steps[0].trouble["code"] == "site-unreachable"
    assert len(room.told("retry")) == 4


def test_facts_that_moved_make_a_plan_stale_and_tolerance_forgives(tmp_path: Path) -> None:
    facts = (Fact(name="db/lag", value=10, tolerance=5), Fact(name="db/lineage", value="x"))
    made = plan(step("a", facts=facts))
    good = Snapshot(taken_at=NOW, facts={"db/lag": 14, "db/lineage": "x"})
    bad = Snapshot(taken_at=NOW, facts={"db/lag": 10, "db/lineage": "y"})
    room = Room(tmp_path)
    with pytest.raises(StaleError, match="a: db/lineage was x, now y") as refused:
        room.executor(made, snapshot=bad).apply()
    assert refused.value.code == "plan-stale"
    with pytest.raises(StaleError) as differs:
        room.executor(made, documents_digest="e" * 64).apply()
    assert differs.value.code == "plan-documents-differ"
    assert room.executor(made, snapshot=good).apply().exit_code == 0


def test_what_a_sent_step_changed_is_not_held_against_a_resume(tmp_path: Path) -> None:
    fact = Fact(name="db/state", value="primary")
    made = plan(
        step("stop", facts=(fact,), changes=("db/state",)), step("swap", "stop", facts=(fact,), approve="really?")
    )
    room = Room(tmp_path)
    room.executor(made, approve=lambda step: Approval(False, "ada", "terminal")).apply()
    now = Snapshot(taken_at=NOW, facts={"db/state": "stopped"})
    done = room.executor(made, snapshot=now, approve=lambda step: Approval(True, "ada", "terminal")).resume()
    assert done.exit_code == 0


def test_a_run_reports_time_and_data_lost_against_what_was_promised(tmp_path: Path) -> None:
    from aegis_plan.plan.plan import Forecast

    outputs = {"last_commit": "2026-11-23T11:55:00Z", "timeline": 2, "heartbeat": None}
    room = Room(tmp_path, {"db.replay:act": [outcome("done", outputs=outputs)]})
    forecasts = tuple(
        Forecast(subject="db", objective=name, target=60.0, expected=1.0, basis="test", verdict="pass")  # type: ignore[arg-type]  # two literals
        for name in ("rto", "rpo")
    )
    intent = Intent(kind="recover", failed_at="2026-11-23T12:00:00Z")
    result = room.executor(plan(*restore(), intent=intent, forecasts=forecasts)).apply()
    achieved = {one.objective: one for one in result.achieved}
    assert achieved["rpa"].seconds == 300.0
    assert achieved["rpa"].verdict == "fail"
    assert result.exit_code == 3
    assert result.t0_basis == "failed at"
    assert achieved["rta"].seconds is not None


def test_the_journal_alone_gives_the_state_of_the_executor(tmp_path: Path) -> None:
    room = Room(tmp_path, {"db.start-server:act": [outcome("failed", trouble=trouble())]})
    executor = room.executor(plan(*restore()))
    executor.apply()
    assert replay(read(tmp_path / "runs" / "run-1")) == executor.state


def until(true: object, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]  # a function
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def test_without_a_mirror_nothing_irreversible_is_handed_over(tmp_path: Path) -> None:
    room = Room(tmp_path)
    far = Away("far", tmp_path / "far")
    made = plan(step("a"), step("b", "a", reversible=False))
    stopped = room.executor(made, mirror=Mirror([far], "aegis", "run-1", seal), mirror_limit=0.2).apply()
    assert stopped.exit_code == 6
    assert "no copy outside" in stopped.reason
    assert room.dispatcher.sent() == ["a:act"]
    far.away = False
    resumed = room.executor(made, mirror=Mirror([far], "aegis", "run-1", seal)).resume()
    assert resumed.exit_code == 0
    assert room.dispatcher.sent() == ["a:act", "b:act"]


def test_break_glass_goes_on_without_mirror_and_authority(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.authority = None  # type: ignore[assignment]  # what break-glass means
    mirror = Mirror([Away("far", tmp_path / "far")], "aegis", "run-1", seal)
    made = plan(step("b", reversible=False, lease="db/data"))
    result = room.executor(made, mirror=mirror, mirror_limit=0.2, break_glass="the bucket burns").apply()
    assert result.exit_code == 0
    assert len(room.told("mirror-late")) == 1
    assert read(tmp_path / "runs" / "run-1")[0].data["break_glass"] == "the bucket burns"


def test_a_person_may_skip_what_is_asked_and_cancel_the_rest(tmp_path: Path) -> None:
    room = Room(tmp_path, {"a:act": [outcome("unknown")], "a:probe": [outcome("done", answer="unknown")]})
    made = plan(step("a"), step("b", "a"))
    room.executor(made).apply()
    run = tmp_path / "runs" / "run-1"
    send(run, "skip", CLOCK, step="b", word="not today", by="ada")
    (run / "inbox" / "bad.json").write_text("{")
    send(run, "skip", CLOCK, step="a", word="it is fine", by="ada")
    send(run, "skip", CLOCK, step="none", word="x", by="ada")
    result = room.executor(made).resume()
    assert (result.verdict, {one.id: one.state for one in result.steps}) == (
        "degraded",
        {"a": "skipped", "b": "skipped"},
    )
    assert len(room.told("command-refused")) == 2
    assert sorted(path.name for path in (run / "inbox").iterdir()) == ["bad.refused"]


def test_a_run_is_cancelled_by_a_command(tmp_path: Path) -> None:
    room = Room(tmp_path, {"a:act": [outcome("done", hang=True)]})
    results = []
    executor = room.executor(plan(step("a")))
    thread = threading.Thread(target=lambda: results.append(executor.apply()))
    thread.start()
    until(lambda: bool(room.dispatcher.sent()))
    send(tmp_path / "runs" / "run-1", "cancel", CLOCK, by="ada")
    thread.join(10)
    assert (results[0].exit_code, results[0].reason) == (6, "cancelled by ada")
