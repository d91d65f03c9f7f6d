"""Whatever the plan and whatever happens to its attempts: order is kept, every run ends or asks, the journal tells."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aegis_plan.journal.file import read
from aegis_plan.journal.replay import replay
from aegis_plan.plan.step import Step
from aegis_plan.run.ready import Ready
from tests.run.scripted import Room, outcome, plan, step, trouble


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Step], dict[str, list[dict[str, Any]]]]:
    steps: list[Step] = []
    script = {}
    tier = 0
    for number in range(draw(st.integers(1, 8))):
        tier += draw(st.integers(0, 1))
        names = [one.id for one in steps]
        steps.append(
            step(
                f"s{number}",
                *draw(st.lists(st.sampled_from(names), unique=True, max_size=3) if names else st.just([])),
                tier=tier,
                phase=draw(st.sampled_from(["data", "services", "verify"])),
                subject=draw(st.sampled_from(["", "x", "y"])),
                reversible=draw(st.booleans()),
                destructive=draw(st.booleans()),
                repeatable=draw(st.booleans()),
                symbol=draw(st.sampled_from(["+", "~"])),
                retries=draw(st.integers(0, 2)),
                retry_delay=0.0,
                on_error=draw(st.sampled_from(["stop", "stop", "continue"])),
                gate=draw(st.booleans()),
            )
        )
        verdicts = st.sampled_from(["done", "done", "failed", "not_started", "cancelled", "unknown"])
        for verb in ("act", "undo"):
            script[f"s{number}:{verb}"] = [
                outcome(verdict, effect=verdict == "done", trouble=trouble() if verdict == "failed" else None)
                for verdict in draw(st.lists(verdicts, max_size=4))
            ]
        script[f"s{number}:probe"] = [
            outcome("done", answer=answer, effect=False)
            for answer in draw(st.lists(st.sampled_from(["satisfied", "needed", "unknown"]), max_size=3))
        ]
    return steps, script


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_any_run_keeps_order_and_ends_or_asks(case: tuple[list[Step], dict[str, list[dict[str, Any]]]]) -> None:
    steps, script = case
    with tempfile.TemporaryDirectory() as folder:
        room = Room(Path(folder), script)
        executor = room.executor(plan(*steps))
        result = executor.apply()
        entries = read(Path(folder) / "runs" / "run-1")
    states = {one.id: one.state for one in result.steps}
    by_id = {one.id: one for one in steps}
    if result.verdict in ("done", "degraded"):
        assert set(states.values()) <= {"done", "failed", "skipped"}
    else:
        assert result.exit_code in (1, 6, 7)
        if result.exit_code == 6:  # what came before cannot be put back, so that the run waits to be gone on with
            assert any(entry.kind == "decided" and entry.data.get("held") for entry in entries)
            assert any(states[one.id] == "done" and not one.reversible for one in steps)
        else:
            assert result.exit_code == 1 or result.questions
    told = replay(entries)
    for one in steps:
        told.step(one.id)
    assert told == executor.state
    met: set[str] = set()
    gates = {one.id for one in steps if one.gate}
    for entry in entries:
        if entry.kind == "settled" and (
            entry.data["state"] == "done"
            or (entry.data["state"] == "failed" and by_id[entry.step].on_error == "continue")
        ):
            met.add(entry.step)
        if entry.kind == "sent" and entry.data["verb"] == "act":
            one = by_id[entry.step]
            assert set(one.needs) <= met
            if one.phase == "services" and not one.gate:
                assert {name for name in gates if by_id[name].tier < one.tier} <= met
    # A settled step is never acted again, and what was undone had been sent.
    over: set[str] = set()
    for entry in entries:
        if entry.kind == "settled":
            over.add(entry.step)
        if entry.kind == "sent" and entry.data["verb"] == "act":
            assert entry.step not in over
    # Undo goes backwards: of two steps taken back, the one that needs the other goes first.
    undone = [entry.step for entry in entries if entry.kind == "settled" and entry.data["state"] == "undone"]
    for place, name in enumerate(undone):
        assert not set(by_id[name].needs) & set(undone[:place])


@given(cases())
@settings(max_examples=100, deadline=None)
def test_the_order_lets_everything_begin_once_when_all_goes_well(case: tuple[list[Step], dict[str, Any]]) -> None:
    steps, _ = case
    order, begun = Ready(steps), []
    while (found := order.pop()) is not None:
        begun.append(found)
        assert order.settle(found, True) == []
    assert sorted(begun) == sorted(one.id for one in steps)
