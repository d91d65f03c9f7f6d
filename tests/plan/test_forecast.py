"""What a plan promises: as usual and at worst, for tiers and services, with what that rests on."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_plan.journal.history import p95
from aegis_plan.observe.snapshot import PastDuration
from aegis_plan.plan.plan import Forecast, Plan
from aegis_plan.plan.planfile import read, write
from aegis_plan.plan.step import measured
from tests.plan.test_recovery import LOST, QUIET, RESTORE, recover
from tests.plan.world import snapshot


def past(action: str, subject: str, p50: float, worst: float | None, count: int = 5) -> PastDuration:
    return PastDuration(action=action, subject=subject, count=count, seconds=p50 + 1, p50=p50, p95=worst)


def all_past(worst: float | None) -> tuple[PastDuration, ...]:
    return (
        *(past(kind, "policy-db", 100.0, worst) for kind in RESTORE),
        past("command", "auth", 5.0, worst),
        past("health", "auth", 5.0, worst),
    )


def of(plan: Plan, about: str) -> Forecast:
    return next(forecast for forecast in plan.forecasts if forecast.about == about)


def codes(plan: Plan) -> set[str]:
    return {finding.code for finding in plan.findings}


def test_the_median_is_expected_and_the_slowest_runs_are_the_worst() -> None:
    plan = recover(snapshot(QUIET, LOST, durations=all_past(200.0)))
    tier, service = of(plan, "tier"), of(plan, "service")
    assert (tier.expected, tier.worst, tier.verdict) == (610.0, 1600.0, "pass")
    assert (service.subject, service.expected, service.worst, service.target) == ("auth", 610.0, 1600.0, 3600.0)
    assert any("measured 5 times (p50 1 min 40 s, p95 3 min 20 s)" in line for line in tier.evidence)
    assert "rto-tight" not in codes(plan)


def test_an_objective_that_only_the_usual_case_meets_is_warned_of() -> None:
    plan = recover(snapshot(QUIET, LOST, durations=all_past(500.0)))
    assert (of(plan, "tier").worst, of(plan, "tier").verdict) == (4000.0, "pass")
    assert [finding.severity for finding in plan.findings if finding.code == "rto-tight"] == ["warning"]
    assert "rto-tight" not in codes(recover(snapshot(QUIET, LOST, durations=all_past(450.0))))


def test_without_percentiles_the_mean_is_expected_and_no_worst_case_is_told() -> None:
    plan = recover(snapshot(QUIET, LOST, durations=all_past(None)))
    assert (of(plan, "tier").expected, of(plan, "tier").worst) == (610.0, None)
    old = PastDuration(action="stage", subject="db", count=3, seconds=40.0)
    assert (measured(old).seconds, measured(old).worst) == (40.0, None)


def test_both_percentiles_follow_the_size() -> None:
    before = PastDuration(action="stage", subject="db", count=3, seconds=40.0, bytes=100, p50=30.0, p95=60.0)
    found = measured(before, 200)
    assert (found.seconds, found.worst, found.basis) == (60.0, 120.0, "from size, measured 3 times")


def test_of_few_cases_the_longest_counts_and_of_many_the_rank() -> None:
    assert p95([3.0, 1.0, 2.0]) == 3.0
    assert p95([float(number) for number in range(1, 20)]) == 19.0
    assert p95([float(number) for number in range(1, 21)]) == 19.0
    assert p95([float(number) for number in range(1, 101)]) == 95.0


def test_what_leads_traffic_to_a_tier_counts_for_it() -> None:
    own = {"traffic": {"dns": {"run": ["switch"], "undo": ["back"], "estimate": "10m"}}}
    plan = recover(snapshot(QUIET, LOST, durations=all_past(None)), changes={"scenarios__db_lost__steps": own})
    assert of(plan, "tier").expected == 1210.0


def test_a_service_that_is_only_started_counts_until_it_is() -> None:
    plan = recover(snapshot(QUIET, LOST, durations=all_past(None)), changes={"services__auth__health": None})
    assert of(plan, "service").expected == of(plan, "tier").expected == 605.0


def test_a_person_makes_the_time_unknown_unless_theirs_is_declared() -> None:
    own = {"isolate": {"go": {"manual": "decide", "estimate": "5m"}}}
    durations = (*all_past(None), past("manual", "go", 0.1, 0.2))
    plan = recover(snapshot(QUIET, LOST, durations=durations), changes={"scenarios__db_lost__steps": own})
    assert of(plan, "tier").expected == 710.0
    del own["isolate"]["go"]["estimate"]
    plan = recover(snapshot(QUIET, LOST, durations=durations), changes={"scenarios__db_lost__steps": own})
    assert (of(plan, "tier").expected, of(plan, "tier").verdict) == (None, "could_not_verify")
    assert any(line.startswith("isolate.go: waits for a person") for line in of(plan, "tier").evidence)


def test_a_plan_file_of_before_is_still_read(tmp_path: Path) -> None:
    """What was added since has defaults, so that its digest stays that of the file."""
    import hashlib
    import json

    plan = recover(snapshot(QUIET, LOST, durations=all_past(None)))
    body = json.loads(write(plan))["plan"]
    del body["parallelism"]
    for one in body["snapshot"]["durations"]:
        del one["p50"], one["p95"]
    for one in body["forecasts"]:
        del one["about"], one["worst"], one["evidence"]
    for one in body["steps"]:
        del one["estimate"]["worst"], one["estimate"]["count"]
    form = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    name = hashlib.sha256(form).hexdigest()
    found, digest = read(b'{"digest":"' + name.encode() + b'","plan":' + form + b"}\n")
    assert digest == name
    assert [step.id for step in found.steps] == [step.id for step in plan.steps]
    assert found.parallelism == 8


def test_a_miss_shows_also_where_both_times_read_the_same() -> None:
    slow = [one.model_copy(update={"p50": 3105.0}) if one.action == "stage" else one for one in all_past(None)]
    plan = recover(snapshot(QUIET, LOST, durations=tuple(slow)))
    assert (of(plan, "service").expected, of(plan, "service").target) == (3615.0, 3600.0)
    told = [finding.detail for finding in plan.findings if finding.code == "rto-breach"]
    assert told
    assert all("1 h expected, 15 s too long" in detail for detail in told)


def own(phase: str, **more: object) -> dict[str, object]:
    step = {"run": ["do"], "undo": ["back"], "estimate": "5h", **more}
    return {"scenarios__db_lost__steps": {phase: {"long": step}}}


@pytest.mark.parametrize("phase", ["data", "services", "verify", "traffic"])
def test_people_wait_for_the_scenarios_own_steps_of_their_tier(phase: str) -> None:
    plan = recover(snapshot(QUIET, LOST, durations=all_past(None)), changes=own(phase, tier=1))
    tier, service = of(plan, "tier"), of(plan, "service")
    assert (tier.verdict, service.verdict) == ("fail", "fail")
    assert tier.expected is not None
    assert tier.expected >= 18_000
    assert service.expected == tier.expected


def test_a_notice_keeps_nobody_waiting() -> None:
    plan = recover(snapshot(QUIET, LOST, durations=all_past(None)), changes=own("notify", tier=1))
    assert of(plan, "tier").expected == 610.0


def two_tiers(phase: str, **more: object) -> Plan:
    portal = {"tier": 2, "uses": ["policy-db"], "runs_at": ["seoul"], "start": {"command": ["start-portal"]}}
    times = (*all_past(None), past("command", "portal", 5.0, None))
    return recover(snapshot(QUIET, LOST, durations=times), changes={**own(phase, **more), "services__portal": portal})


def test_traffic_without_a_tier_leads_the_people_of_every_tier() -> None:
    rows = [row for row in two_tiers("traffic").forecasts if row.about in ("tier", "service")]
    assert len(rows) == 4
    assert all(row.expected is not None and row.expected > 18_000 for row in rows)


def test_what_is_verified_for_a_later_tier_keeps_no_earlier_one() -> None:
    plan = two_tiers("verify", tier=2)
    late = {row.subject: (row.expected or 0) > 18_000 for row in plan.forecasts if row.objective == "rto"}
    assert late == {"tier 1 (critical)": False, "tier 2 (important)": True, "auth": False, "portal": True}


def test_services_begin_after_the_own_steps_with_the_data_of_their_tier() -> None:
    steps = {step.id: step for step in two_tiers("data", tier=2).steps}
    assert "data.long" in steps["portal.start"].needs
    assert "data.long" not in steps["auth.start"].needs
    steps = {step.id: step for step in two_tiers("data", tier=1).steps}
    assert "data.long" in steps["portal.start"].needs
    assert "data.long" in steps["auth.start"].needs


def test_a_step_with_data_that_needs_a_service_holds_none() -> None:
    plan = two_tiers("data", tier=1, needs=["auth.health"])
    assert "steps-in-circle" not in codes(plan)
    assert "auth.health" in next(step for step in plan.steps if step.id == "data.long").needs
    assert (of(plan, "tier").expected or 0) > 18_000
