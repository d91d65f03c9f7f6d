"""The schedule of a plan: it agrees with calculations done in another way, and with what the executor does."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path
from random import Random

import pytest

from aegis_plan.plan.schedule import schedule
from aegis_plan.plan.step import Estimate, Step
from tests.plan.graphs import Kind, played, random_steps, waits
from tests.run.scripted import Room, plan, step

SEEDS = range(300)
FREE = Kind(resources=False, unknown=False, people=False)
"""Nothing but needs and gates decides when a step begins."""


def paths(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    """Every way through the needs and gates, from a step that waits for nothing to any step."""
    known, need = {step.id: step for step in steps}, waits(steps)

    def to(step: Step) -> Iterator[tuple[Step, ...]]:
        if not need[step.id]:
            yield (step,)
        for before in need[step.id]:
            for way in to(known[before]):
                yield (*way, step)

    for last in steps:
        yield from to(last)


def seconds(step: Step) -> float:
    return step.estimate.seconds or 0.0


def longer(steps: tuple[Step, ...], name: str, by: float) -> tuple[Step, ...]:
    return tuple(
        step.model_copy(update={"estimate": Estimate(seconds=seconds(step) + by, basis="declared")})
        if step.id == name
        else step
        for step in steps
    )


@pytest.mark.parametrize("block", range(10))
def test_the_critical_path_is_the_longest_of_all_paths(block: int) -> None:
    for seed in SEEDS[block::10]:
        steps = random_steps(seed, FREE)
        found, need = schedule(steps, 100), waits(steps)
        assert found.total == max(sum(map(seconds, way)) for way in paths(steps)), seed
        known = {step.id: step for step in steps}
        assert sum(seconds(known[name]) for name in found.path) == found.total, seed
        assert not need[found.path[0]], seed
        assert all(one in need[two] for one, two in pairwise(found.path)), seed


@pytest.mark.parametrize("block", range(10))
def test_begin_and_end_are_those_of_a_plain_simulation_under_any_limit(block: int) -> None:
    for seed in SEEDS[block::10]:
        steps = random_steps(seed, Kind(most=16, unknown=False))
        for limit in (1, 2, 3, 100):
            found = schedule(steps, limit)
            times = played(steps, {step.id: seconds(step) for step in steps}, limit)
            assert {name: (at.begin, at.end) for name, at in found.steps.items()} == times, (seed, limit)
            assert found.total == max(end for _, end in times.values())
            for name, at in found.steps.items():
                if at.binding:
                    assert found.steps[at.binding].end == at.begin, (seed, limit, name)
                else:
                    assert at.begin == 0.0, (seed, limit, name)


@pytest.mark.parametrize("block", range(10))
def test_a_step_may_be_late_by_its_slack_and_not_by_more(block: int) -> None:
    for seed in SEEDS[block::10]:
        steps = random_steps(seed, FREE)
        found = schedule(steps, 100)
        for name, at in found.steps.items():
            assert at.slack is not None
            assert schedule(longer(steps, name, at.slack), 100).total == found.total, (seed, name)
            assert schedule(longer(steps, name, at.slack + 1), 100).total == found.total + 1, (seed, name)
            assert at.slack == 0.0 or not at.critical


@pytest.mark.parametrize("limit", [2, 100])
def test_what_is_called_known_holds_whatever_the_unknown_lengths_turn_out_to_be(limit: int) -> None:
    exact = 0
    for seed in SEEDS:
        steps = random_steps(seed, Kind(most=14, people=False))
        found, dice = schedule(steps, limit), Random(seed)
        if found.exact:
            continue
        for _ in range(4):
            lengths = {
                step.id: float(dice.choice((0, 1, 5, 50, 1000))) if step.id in found.unknown else seconds(step)
                for step in steps
            }
            times = played(steps, lengths, limit)
            end = max(end for _, end in times.values())
            for name, at in found.steps.items():
                if at.exact:
                    exact += 1
                    assert (at.begin, at.end) == times[name], (seed, name, lengths)
                elif limit == 100 and not any(step.resource for step in steps):
                    assert at.begin <= times[name][0], (seed, name, lengths)
                if at.slack is not None and limit == 100 and not any(step.resource for step in steps):
                    later = lengths | {name: lengths[name] + at.slack}
                    assert max(end for _, end in played(steps, later, limit).values()) == end, (seed, name, lengths)
    assert exact > 500


def test_a_person_is_counted_only_where_their_time_is_declared() -> None:
    declared = Estimate(seconds=60, basis="declared")
    measured = Estimate(seconds=60, basis="measured 3 times")
    counted = schedule([step("ask", approve="go?", estimate=declared), step("go", "ask", estimate=declared)])
    assert (counted.exact, counted.total) == (True, 120)
    open_ended = schedule([step("ask", approve="go?", estimate=measured), step("go", "ask", estimate=declared)])
    assert (open_ended.exact, open_ended.total, open_ended.unknown) == (False, 120, ("ask",))
    assert (open_ended.steps["go"].late, open_ended.steps["go"].begin) == (("ask",), 60)


def test_waiting_for_the_same_resource_is_told_apart_from_waiting_for_room() -> None:
    minute = Estimate(seconds=60, basis="declared")
    steps = [step(f"s{n}", resource="db/data" if n < 2 else "", estimate=minute) for n in range(4)]
    found = schedule(steps, 2)
    assert [(at.begin, at.hold, at.binding) for at in found.steps.values()] == [
        (0.0, "", ""),
        (60.0, "resource", "s0"),
        (0.0, "", ""),
        (60.0, "room", "s2"),
    ]
    assert (found.full, found.parallel, found.together) == (True, 2, (("s0", "s2"), ("s1", "s3")))
    assert not schedule(steps, 3).full


def test_an_empty_plan_takes_no_time() -> None:
    found = schedule(())
    assert (found.total, found.path, found.together, found.exact) == (0.0, (), (), True)


@pytest.mark.parametrize("seed", range(12))
def test_the_executor_begins_steps_in_the_order_of_the_schedule(tmp_path: Path, seed: int) -> None:
    """The scripted dispatcher ends everything that is on its way between two turns, as if all steps were as long."""
    second = Estimate(seconds=1, basis="declared")
    steps = tuple(
        one.model_copy(update={"estimate": second, "action": "command", "approve": ""})
        for one in random_steps(seed, Kind(most=24))
    )
    limit = 1 + seed % 4
    room = Room(tmp_path)
    room.executor(plan(*steps), parallel=limit).apply()
    found = schedule(steps, limit).steps
    begun = [event.step for event in room.told("step-begun")]
    assert sorted(begun) == sorted(found)
    assert [found[name].begin for name in begun] == sorted(found[name].begin for name in begun)
    groups: dict[float, list[str]] = {}
    for name in begun:
        groups.setdefault(found[name].begin, []).append(name)
    assert list(chain.from_iterable(groups.values())) == begun
