"""300 random systems: whatever the documents say, plan, schedule and answers keep their rules."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

import pytest

from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import PastDuration, Snapshot
from aegis_plan.plan.plan import Intent, Plan
from aegis_plan.plan.recover import plan_recovery
from aegis_plan.plan.schedule import expected_length, schedule
from aegis_plan.plan.step import PHASES
from aegis_plan.plan.what_if import what_if_down
from aegis_plan.run.what_if import what_if_fails
from tests.bench.planning import world
from tests.plan.graphs import played, waits

ACTIONS = ("stage", "replay", "stop-server", "swap", "start-server", "accept", "create-slot", "archive-log", "backup")


def system(seed: int) -> tuple[Documents, Snapshot, Intent]:
    """Some stores, services on them and on each other, steps of one's own, and what some of it took before."""
    dice = Random(seed)
    made, seen = world(dice.randint(1, 4), services=dice.randint(1, 7), woven=dice.randint(0, 2))
    one = made.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for service in one["services"].values():
        service["tier"] = dice.randint(1, 3)
        for part in ("health", "start"):
            if dice.random() < 0.2:
                service[part] = None
    for name, store in one["stores"].items():
        if dice.random() < 0.3:
            one["stores"][name] = {**store, "backup": {**store["backup"], "repositories": ["here", "far"]}}
    one["repositories"]["far"] = {"kind": "local", "site": "busan", "path": "/srv/far"}
    own: dict[str, Any] = {}
    for number in range(dice.randint(0, 4)):
        phase = dice.choice([phase for phase in PHASES if phase != "protect"])
        step: dict[str, Any] = {"run": ["do"]} if dice.random() < 0.6 else {"manual": "do it"}
        if dice.random() < 0.6:
            step["estimate"] = f"{dice.randint(1, 9)}m"
        if dice.random() < 0.3:
            step["tier"] = dice.randint(1, 3)
        own.setdefault(phase, {})[f"own-{number}"] = step
    scenario = one["scenarios"]["all-lost"]
    scenario["steps"] = own
    durations = tuple(
        PastDuration(action=action, subject=subject, count=3, seconds=float(usual), p50=usual, p95=2.0 * usual)
        for subject in (*one["stores"], *one["services"])
        for action in (ACTIONS if subject in one["stores"] else ("command", "health"))
        if dice.random() < 0.95
        for usual in [dice.randint(1, 600)]
    )
    intent = Intent(
        kind="recover", scenario="all-lost", to="latest", options={"parallelism": dice.choice((1, 2, 4, 8, 50))}
    )
    return Documents.model_validate(one), seen.model_copy(update={"durations": durations}), intent


def plan_of(seed: int) -> Plan:
    documents, seen, intent = system(seed)
    return plan_recovery(documents, seen, intent, "d", "test")


def _anew(documents: Documents, seen: Snapshot, intent: Intent) -> Plan:
    return plan_recovery(documents, seen, intent, "d", "test")


def _behind(plan: Plan, ends: set[str]) -> set[str]:
    """These steps and all that they wait for, over any number of steps."""
    before, found, waiting = waits(plan.steps), set(ends), list(ends)
    while waiting:
        more = set(before[waiting.pop()]) - found
        found |= more
        waiting.extend(more)
    return found


@pytest.mark.parametrize("block", range(6))
def test_a_plan_of_any_system_keeps_the_order_and_its_times(block: int) -> None:
    passed = 0
    for seed in range(block, 300, 6):
        plan = plan_of(seed)
        if plan.blocked:
            assert [finding.code for finding in plan.findings if finding.severity == "error"] == ["steps-in-circle"]
            continue
        place = {step.id: at for at, step in enumerate(plan.steps)}
        rank = [(step.tier, PHASES.index(step.phase)) for step in plan.steps]
        for at, step in enumerate(plan.steps):
            needs = [place[need] for need in (*step.needs, *step.builds_on)]
            assert all(need < at for need in needs), (seed, step.id)
            # What stands before it though it is less urgent could not be kept waiting: this one needs something later.
            latest = max(needs, default=-1)
            assert all(rank[before] <= rank[at] for before in range(latest + 1, at)), (seed, step.id)
        for name, service in plan.documents.services.items():
            start = next((step for step in (f"{name}.start", f"{name}.health") if step in place), None)
            for used in service.uses:
                for after in (f"{used}.accept", f"{used}.start", f"{used}.health"):
                    if start is not None and after in place:
                        assert place[after] < place[start], (seed, name, used)
        times = played(plan.steps, {step.id: expected_length(step)[0] for step in plan.steps}, plan.parallelism)
        found = schedule(plan)
        steps = {step.id: step for step in plan.steps}
        assert {name: (at.begin, at.end) for name, at in found.steps.items()} == times, seed
        for name, befores in waits(plan.steps).items():
            assert all(found.steps[before].end <= found.steps[name].begin for before in befores), (seed, name)
        for forecast in plan.forecasts:
            if forecast.objective == "rto" and forecast.expected is not None:
                assert forecast.expected <= found.total
                assert forecast.worst is None or forecast.worst >= forecast.expected
            if forecast.about == "tier" and forecast.verdict == "pass":
                passed += 1
                ends = waited_for(plan, int(forecast.subject.split()[1]))
                assert forecast.expected == max(times[end][1] for end in ends), (seed, forecast.subject)
                assert all(expected_length(steps[name])[1] for name in _behind(plan, ends)), (seed, forecast.subject)
    assert passed


OWN = ("data", "services", "verify", "traffic")
"""Phases of a scenario's own steps that people wait for."""


def waited_for(plan: Plan, tier: int) -> set[str]:
    """The steps that have to end before a tier is back: written down once more, from the documents alone."""
    documents, known = plan.documents, {step.id: step for step in plan.steps}
    scenario = documents.scenarios[plan.intent.scenario]
    found = {name for store in documents.stores if known[name := f"{store}.accept"].tier <= tier}
    for name, service in documents.services.items():
        if service.tier <= tier:
            found |= {f"{name}.health"} & {*known} or {f"{name}.start"} & {*known}
    for phase in OWN:
        for name, own in getattr(scenario.steps, phase).items():
            everybody = phase == "traffic" and not own.tier
            if everybody or known[f"{phase}.{name}"].tier <= tier:
                found.add(f"{phase}.{name}")
    return found


@pytest.mark.parametrize("block", range(6))
def test_a_tier_is_back_when_all_that_people_wait_for_ended(block: int) -> None:
    for seed in range(block, 300, 6):
        plan = plan_of(seed)
        if plan.blocked:
            continue
        times = played(plan.steps, {step.id: expected_length(step)[0] for step in plan.steps}, plan.parallelism)
        services = {
            f"{name}.{part}": one for name, one in plan.documents.services.items() for part in ("start", "health")
        }
        for row in plan.forecasts:
            if row.about != "tier" or row.expected is None:
                continue
            tier = int(row.subject.split()[1])
            assert row.expected == max(times[step][1] for step in waited_for(plan, tier)), (seed, tier)
        for step in plan.steps:
            for other in plan.steps:
                if step.id in services and other.id.startswith("data.") and other.tier <= step.tier:
                    assert times[other.id][1] <= times[step.id][0], (seed, step.id, other.id)


@pytest.mark.parametrize("block", range(3))
def test_without_a_site_it_is_the_plan_made_anew(block: int) -> None:
    for seed in range(block, 300, 3):
        documents, seen, intent = system(seed)
        plan = plan_recovery(documents, seen, intent, "d", "test")
        for site in ("seoul", "busan"):
            anew = plan_recovery(documents, seen, intent.model_copy(update={"sites_down": (site,)}), "d", "test")
            answer = what_if_down(plan, site, partial(_anew, documents, seen))
            assert answer.plan == anew, seed
            ids = {step.subject for step in anew.steps}
            lost = {step.subject for step in plan.steps if step.subject in documents.stores} - ids
            assert set(answer.lost) == lost, (seed, site)
            now = {(one.subject, one.objective): one.expected for one in anew.forecasts}
            then = {(one.subject, one.objective): one.expected for one in plan.forecasts}
            moved = {(one.subject, one.objective) for one in answer.moved}
            assert {key for key in {*now, *then} if now.get(key) != then.get(key)} <= moved, (seed, site)


@pytest.mark.parametrize("block", range(3))
def test_when_a_store_fails_exactly_what_uses_it_stays_down(block: int) -> None:
    for seed in range(block, 300, 3):
        plan = plan_of(seed)
        if plan.blocked:
            continue
        store = sorted(plan.documents.stores)[0]
        answer = what_if_fails(plan, f"{store}.accept")
        users = {store}
        while True:
            more = {name for name, one in plan.documents.services.items() if users & {*one.uses}} - users
            if not more:
                break
            users |= more
        gates = {step.id for step in plan.steps if step.gate}
        down = {one.subject for one in answer.down if one.about == "service"}
        known = {one.subject for one in answer.back if one.about == "service"}
        assert users & known <= down, seed
        # A gate of a more critical tier that never opens keeps others down too, and so do steps of one's own.
        if not gates and not any(step.id.split(".")[0] in OWN for step in plan.steps):
            assert down == users & known, seed
        assert set(answer.stores_down) == {store}, seed
