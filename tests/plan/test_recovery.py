"""What a recovery plan does for one PostgreSQL store, and what it refuses before anything is touched."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import pytest

from aegis_plan.cli.planning import Asked, intent_of
from aegis_plan.documents.scalars import sized
from aegis_plan.errors import UsageError
from aegis_plan.observe.snapshot import PastDuration, Snapshot
from aegis_plan.plan.plan import Intent, Plan
from aegis_plan.plan.recover import plan_recovery
from tests.plan.world import (
    LINEAGE,
    a_history,
    a_range,
    a_set,
    at,
    documents,
    member,
    shelf,
    snapshot,
)

FULL = a_set("F1", 0, 0x1000, 0x2000)
FIRST = a_range("l1", 20, 0x1000, 0x3000)
SECOND = a_range("l2", 50, 0x3000, 0x5000)
QUIET = shelf(FULL, FIRST, SECOND)
LOST = member("stopped")
RESTORE = ["stage", "replay", "stop-server", "swap", "start-server", "accept"]


def recover(seen: Snapshot, to: str = "latest", *, changes: dict[str, Any] | None = None, **asked: Any) -> Plan:
    intent = Intent(**{"kind": "recover", "scenario": "db-lost", "stores": ("policy-db",), "to": to, **asked})
    return plan_recovery(documents(**(changes or {})), seen, intent, "d", "test")


def of_store(plan: Plan) -> list[str]:
    return [step.action for step in plan.steps if step.subject == "policy-db"]


def error(plan: Plan) -> str:
    errors = [finding for finding in plan.findings if finding.severity == "error"]
    assert len(errors) == 1, errors
    assert errors[0].hint
    return f"{errors[0].code}: {errors[0].detail} | {errors[0].hint}"


def test_the_steps_stand_in_the_order_that_keeps_the_old_data_until_the_new_is_proved() -> None:
    plan = recover(snapshot(QUIET, LOST))
    assert not plan.blocked
    assert of_store(plan) == [*RESTORE, "create-slot", "archive-log", "backup"]
    touching = next(place for place, step in enumerate(plan.steps) if step.destructive)
    assert [step.action for step in plan.steps[:touching]] == ["stage", "replay"]
    for before, after in itertools.pairwise(RESTORE):
        steps = {step.action: step for step in plan.steps}
        assert steps[before].id in steps[after].needs


def test_what_brings_protection_back_never_takes_the_restored_data_back() -> None:
    plan = recover(snapshot(QUIET, LOST))
    tail = [step for step in plan.steps if step.action in ("create-slot", "archive-log", "backup")]
    assert {step.on_error for step in tail} == {"continue"}
    assert {step.params["method"] for step in tail if step.action == "backup"} == {"full"}


def test_services_come_back_after_their_data_and_not_after_the_new_full() -> None:
    plan = recover(snapshot(QUIET, LOST))
    names = [step.id for step in plan.steps]
    assert names.index("policy-db.accept") < names.index("auth.start") < names.index("auth.health")
    assert names.index("auth.health") < names.index("policy-db.backup")
    gate = next(step for step in plan.steps if step.id == "auth.health")
    assert gate.gate


def test_latest_takes_the_newest_set_and_all_log_behind_it() -> None:
    newer = a_set("F2", 30, 0x3800, 0x3900)
    plan = recover(snapshot(shelf(FULL, FIRST, SECOND, newer), LOST))
    stage = plan.steps[0].params
    assert list(stage["sets"]) == ["r-F2"]
    assert stage["target_time"] is None
    assert set(stage["log"]) == {"r-l1", "r-l2"}  # both touch the segment in which the set begins


def test_a_moment_takes_the_set_before_it_and_no_log_behind_it() -> None:
    newer = a_set("F2", 30, 0x3800, 0x3900)
    plan = recover(snapshot(shelf(FULL, FIRST, SECOND, newer), LOST), at(10).isoformat())
    stage = plan.steps[0].params
    assert list(stage["sets"]) == ["r-F1"]
    assert list(stage["log"]) == ["r-l1"]
    assert stage["target_time"].startswith("2026-11-22T02:10:00")


def test_before_an_infection_is_the_moment_before_it() -> None:
    plan = recover(snapshot(QUIET, LOST), "", before=at(10).isoformat())
    assert plan.steps[0].params["target_time"].startswith("2026-11-22T02:09:59.999999")


def test_a_position_is_a_target_too() -> None:
    plan = recover(snapshot(QUIET, LOST), "0/2800")
    assert plan.steps[0].params["target_lsn"] == "0/2800"
    assert list(plan.steps[0].params["log"]) == ["r-l1"]


@pytest.mark.parametrize(
    ("to", "code"),
    [
        (at(-1).isoformat(), "target-before-first-backup"),
        (at(51).isoformat(), "target-after-log"),
        ("0/100", "target-before-first-backup"),
        ("0/F000", "target-after-log"),
    ],
)
def test_a_target_out_of_reach_is_refused_with_what_is_possible(to: str, code: str) -> None:
    plan = recover(snapshot(QUIET, LOST), to)
    assert error(plan).startswith(code)
    assert "2026-11-22T02:00:00" in error(plan)
    assert of_store(plan) == []


def test_a_hole_is_refused_for_latest_and_named_with_the_way_on() -> None:
    catalog = shelf(FULL, FIRST, SECOND, missing={"here": ("l1",), "there": ("l1",)})
    said = error(recover(snapshot(catalog, LOST)))
    assert said.startswith("log-hole")
    assert "1/0/1000 to 1/0/3000" in said
    assert "--to '2026-11-22T02:00:00.000000Z'" in said
    assert not recover(snapshot(catalog, LOST), at(0).isoformat()).blocked


def test_one_damaged_copy_is_no_hole() -> None:
    plan = recover(snapshot(shelf(FULL, FIRST, SECOND, missing={"here": ("l1", "F1")}), LOST))
    assert not plan.blocked


def test_a_broken_newest_set_costs_nothing_where_the_log_is_whole() -> None:
    newer = a_set("F2", 30, 0x3800, 0x3900)
    catalog = shelf(FULL, FIRST, SECOND, newer, missing={"here": ("F2",), "there": ("F2",)})
    plan = recover(snapshot(catalog, LOST))
    assert list(plan.steps[0].params["sets"]) == ["r-F1"]
    assert any("F2" in choice and "nothing more is lost" in choice for choice in plan.choices)


def test_a_broken_newest_set_without_log_is_refused() -> None:
    newer = a_set("F2", 30, 0x3800, 0x3900)
    said = error(recover(snapshot(shelf(FULL, newer, missing={"here": ("F2",), "there": ("F2",)}), LOST)))
    assert said.startswith("chain-broken")
    assert "F2" in said
    assert "--to '2026-11-22T02:00:00.000000Z'" in said


def test_an_incremental_whose_full_is_gone_is_no_way_back() -> None:
    chain = (a_set("I1", 10, 0x2100, 0x2200, parent="F1"), FULL)
    said = error(recover(snapshot(shelf(*chain, missing={"here": ("F1",), "there": ("F1",)}), LOST)))
    assert said.startswith("chain-broken")


def test_that_no_backup_is_seen_is_not_that_there_is_none() -> None:
    assert error(recover(snapshot(shelf(), LOST))).startswith("no-backup")
    for away in (("there",), ("here", "there")):
        said = error(recover(snapshot(shelf(away=away), LOST)))
        assert said.startswith("backups-unknown")
        assert "there: no route" in said
        assert ("can be reached holds a set" in said) == (len(away) == 1)


def test_what_was_only_at_a_lost_site_is_gone_and_not_unknown() -> None:
    changes = {"repositories__there": {"kind": "local", "site": "busan", "path": "/srv/there"}}
    seen = snapshot(shelf(away=("there",)), LOST)
    assert error(recover(seen, changes=changes)).startswith("backups-unknown")
    assert error(recover(seen, changes=changes, sites_down=("busan",))).startswith("no-backup")


def test_repositories_at_a_lost_site_do_not_count() -> None:
    changes = {"repositories__there": {"kind": "local", "site": "busan", "path": "/srv/there"}}
    catalog = shelf(FULL, missing={"here": ("F1",)})
    assert not recover(snapshot(catalog, LOST), changes=changes).blocked
    assert error(recover(snapshot(catalog, LOST), changes=changes, sites_down=("busan",))).startswith("chain-broken")


def test_after_a_restore_latest_follows_the_youngest_timeline() -> None:
    catalog = shelf(FULL, FIRST, SECOND, a_history(2, 60, (1, 0x3000)), a_range("m1", 70, 0x3000, 0x3800, timeline=2))
    plan = recover(snapshot(catalog, LOST, minute=80))
    stage = plan.steps[0].params
    assert stage["timeline"] == 2
    assert set(stage["log"]) == {"r-h2", "r-l1", "r-m1"}
    back = recover(snapshot(catalog, LOST, minute=80), at(40).isoformat()).steps[0].params
    assert back["timeline"] == 1
    assert set(back["log"]) == {"r-h2", "r-l1", "r-l2"}  # the history keeps the next timeline from being taken twice


READABLE = {
    "data_directory": "readable",
    "lineage": LINEAGE,
    "timeline": 1,
    "log_readable_from": "1/0/0",
    "log_readable_to": "1/0/8000",
}


def test_a_readable_old_data_directory_gives_its_log() -> None:
    plan = recover(snapshot(QUIET, member("stopped", **READABLE), minute=300))
    assert of_store(plan)[:3] == ["archive-tail", "stage", "replay"]
    assert plan.steps[0].params["begin"] == "1/0/5000"
    assert plan.steps[1].params["tail"] == "policy-db.archive-tail"
    assert "policy-db.archive-tail" in plan.steps[1].builds_on
    assert next(one for one in plan.forecasts if one.objective == "rpo").expected == 0.0


def test_a_readable_old_data_directory_fills_a_hole() -> None:
    catalog = shelf(FULL, FIRST, SECOND, missing={"here": ("l2",), "there": ("l2",)})
    assert error(recover(snapshot(catalog, LOST))).startswith("log-hole")
    plan = recover(snapshot(catalog, member("stopped", **READABLE)))
    assert not plan.blocked
    assert plan.steps[0].params["begin"] == "1/0/3000"


def test_an_old_log_that_does_not_reach_back_is_left_and_said() -> None:
    plan = recover(snapshot(QUIET, member("stopped", **{**READABLE, "log_readable_from": "1/0/6000"})))
    assert of_store(plan)[0] == "stage"
    assert "tail-not-contiguous" in {finding.code for finding in plan.findings}


def test_a_running_server_is_stopped_before_its_last_log_is_taken() -> None:
    plan = recover(snapshot(QUIET, member("primary", **READABLE)))
    # What cannot be read has to show before the server is stopped: the archive is staged first, the rest behind it.
    assert of_store(plan)[:4] == ["stage", "stop-server", "archive-tail", "stage"]
    assert of_store(plan).count("stop-server") == 1


def test_a_moment_does_not_need_the_old_log_and_stops_the_server_last() -> None:
    plan = recover(snapshot(QUIET, member("primary", **READABLE)), at(10).isoformat())
    assert of_store(plan)[:3] == ["stage", "replay", "stop-server"]


def test_beside_never_stops_swaps_or_protects() -> None:
    plan = recover(snapshot(QUIET, member("primary")), beside="/srv/look", scenario="", kind="restore")
    assert [step.action for step in plan.steps] == ["stage", "replay"]
    assert plan.steps[0].params["place"]["data_directory"] == "/srv/look"
    assert {step.lease for step in plan.steps} == {""}


def test_no_room_names_the_numbers() -> None:
    said = error(recover(snapshot(QUIET, member("stopped", free_bytes=1000))))
    assert said.startswith("no-room")
    assert "1000 B are free" in said


CROWDED = {"free_bytes": 1000, "used_bytes": 10**9, "system_identifier": LINEAGE.partition("-")[0]}


def crowded(*words: str, **more: Any) -> Plan:
    look = member("stopped", **{**READABLE, **CROWDED, **more.pop("look", {})})
    return recover(snapshot(QUIET, look, minute=300), *words, **more)


GIVE_UP = {"options": {"give_up_old_data": True}}


def test_without_room_old_data_goes_only_when_that_was_said_and_the_refusal_says_how() -> None:
    said = error(crowded())
    assert said.startswith("no-room")
    assert "--give-up-old-data" in said
    assert "keep_old_data: /PATH" in said
    assert sized(1000 + 10**9) in said


@pytest.mark.parametrize("changes", [{}, {"stores__policy-db__keep_old_data": "no"}])
def test_old_data_is_removed_behind_the_proof_and_the_last_log_and_with_an_approval(changes: dict[str, Any]) -> None:
    plan = crowded(changes=changes, **({} if changes else GIVE_UP))
    assert not plan.blocked
    assert of_store(plan)[:9] == [
        "prove", "stop-server", "archive-tail", "prove", "clear-place", "stage", "replay", "swap", "start-server",
    ]  # fmt: skip
    going = next(step for step in plan.steps if step.action == "clear-place")
    assert going.approve
    assert (going.destructive, going.reversible, going.params["keep"]) == (True, False, "no")
    assert going.params["owner"] == CROWDED["system_identifier"]
    assert plan.steps[0].params["need_bytes"] >= next(s for s in plan.steps if s.action == "stage").params["need_bytes"]
    assert "old-data-given-up" in {finding.code for finding in plan.findings}
    space = next(fact for fact in plan.steps[0].facts if fact.name.endswith("free-bytes"))
    assert space.at_least == 0
    assert not [fact for step in plan.steps[1:] for fact in step.facts if fact.name.endswith("free-bytes")]


def test_old_data_that_is_moved_elsewhere_can_be_put_back_and_asks_nobody() -> None:
    plan = crowded(changes={"stores__policy-db__keep_old_data": "/mnt/kept"})
    going = next(step for step in plan.steps if step.action == "move-away")
    assert (going.destructive, going.reversible, going.approve) == (True, True, "")
    assert going.params["keep"] == "/mnt/kept"
    assert "clear-place" not in of_store(plan)
    assert "old-data-given-up" not in {finding.code for finding in plan.findings}


def test_a_moment_needs_no_old_log_and_the_plan_says_what_goes_with_the_old_data() -> None:
    plan = crowded(at(10).isoformat(), **GIVE_UP)
    assert of_store(plan)[:4] == ["prove", "stop-server", "clear-place", "stage"]
    finding = next(finding for finding in plan.findings if finding.code == "old-data-given-up")
    assert "after the target" in finding.detail


@pytest.mark.parametrize(
    "look", [{"used_bytes": 5000}, {"data_directory": "missing"}, {"data_directory": "unreadable"}]
)
def test_old_data_that_would_not_make_room_is_never_given_up(look: dict[str, Any]) -> None:
    said = error(crowded(look=look, **GIVE_UP))
    assert said.startswith("no-room")
    assert "--give-up-old-data" not in said


def test_with_room_for_both_nothing_is_given_up() -> None:
    plan = crowded(look={"free_bytes": 10**12}, **GIVE_UP)
    assert not plan.blocked
    assert "clear-place" not in of_store(plan)
    assert any("not given up" in choice for choice in plan.choices)


def test_free_space_is_a_fact_of_which_only_the_minimum_counts() -> None:
    stage = recover(snapshot(QUIET, LOST)).steps[0]
    space = next(fact for fact in stage.facts if fact.name.endswith("free-bytes"))
    assert space.at_least == stage.params["need_bytes"]


BUSAN = {
    "site": "busan",
    "connection": "x",
    "server": {"data_directory": "/srv/pg", "binaries": "/usr/lib/postgresql/18/bin"},
}


@pytest.mark.parametrize(
    ("changes", "options", "look", "code"),
    [
        ({"stores__policy_db__members": {"busan-1": BUSAN}}, {}, {}, "place-unreachable"),
        ({}, {}, {"data_directory": "elsewhere"}, "place-unreachable"),
        ({}, {}, {"binaries_version": 150000}, "binaries-differ"),
        (
            {"stores__policy_db__members": {"seoul-1": {"site": "seoul", "connection": "x"}}},
            {},
            {},
            "server-not-declared",
        ),
        ({"scenarios__db_lost__strategy": "failover"}, {}, {}, "failover-impossible"),
    ],
)
def test_what_cannot_be_done_here_is_refused_at_plan_time(
    changes: dict[str, Any], options: dict[str, Any], look: dict[str, Any], code: str
) -> None:
    assert error(recover(snapshot(QUIET, member("stopped", **look)), changes=changes, options=options)).startswith(code)


def test_a_place_out_of_reach_names_the_host() -> None:
    said = error(recover(snapshot(QUIET, LOST), changes={"stores__policy_db__members": {"busan-1": BUSAN}}))
    assert "busan-ops" in said


def test_a_second_primary_is_never_made() -> None:
    plan = recover(snapshot(QUIET, LOST, member("primary", name="seoul-2")))
    assert error(plan).startswith("primary-elsewhere")


def test_own_steps_hang_on_their_phases() -> None:
    own = {
        "isolate": {"fence": {"run": ["fence"], "estimate": "10s"}},
        "traffic": {"dns": {"run": ["switch-dns"], "undo": ["switch-back"], "approve": "switch now?"}},
        "declare": {"tell": {"manual": "tell the duty officer"}},
    }
    plan = recover(snapshot(QUIET, LOST), changes={"scenarios__db_lost__steps": own})
    steps = {step.id: step for step in plan.steps}
    names = [step.id for step in plan.steps]
    assert names.index("isolate.fence") < names.index("policy-db.stop")
    assert "isolate.fence" in steps["policy-db.swap"].needs
    assert "auth.health" in steps["traffic.dns"].needs
    assert steps["traffic.dns"].approve == "switch now?"
    assert steps["traffic.dns"].reversible
    assert steps["declare.tell"].action == "manual"
    assert steps["isolate.fence"].estimate.seconds == 10


def test_no_service_starts_before_people_were_called_and_the_lost_was_cut_off() -> None:
    """Also one that waits for no store: it would come up within reach of what is being isolated."""
    own = {"declare": {"call": {"manual": "call"}}, "isolate": {"cut": {"run": ["cut"]}}}
    alone = {"tier": 1, "start": {"command": ["start-front"]}, "health": {"tcp": {"address": "localhost:2"}}}
    plan = recover(
        snapshot(QUIET, LOST),
        changes={
            "scenarios__db_lost__steps": own,
            "services__front": alone,
            "scenarios__db_lost__affects": {"stores": ["policy-db"], "services": ["front"]},
        },
    )
    needs = {step.id: set(step.needs) for step in plan.steps}

    def all_before(name: str) -> set[str]:
        return needs[name].union(*(all_before(need) for need in needs[name]))

    for name in ("front.start", "front.health", "auth.start", "policy-db.swap"):
        assert {"declare.call", "isolate.cut"} <= all_before(name), name
    assert "declare.call" not in all_before("policy-db.stage")


def test_own_steps_in_a_circle_block_the_plan() -> None:
    own = {"isolate": {"a": {"run": ["a"], "needs": ["b"]}, "b": {"run": ["b"], "needs": ["a"]}}}
    plan = recover(snapshot(QUIET, LOST), changes={"scenarios__db_lost__steps": own})
    assert error(plan).startswith("steps-in-circle")


def measured(*pairs: tuple[str, str, float]) -> tuple[PastDuration, ...]:
    return tuple(PastDuration(action=action, subject=on, count=2, seconds=s) for action, on, s in pairs)


ALL = [(kind, "policy-db", 100.0) for kind in RESTORE] + [("command", "auth", 5.0), ("health", "auth", 5.0)]


def test_an_rto_is_known_only_when_every_step_on_the_way_is() -> None:
    rto = next(one for one in recover(snapshot(QUIET, LOST)).forecasts if one.objective == "rto")
    assert (rto.expected, rto.verdict) == (None, "could_not_verify")
    plan = recover(snapshot(QUIET, LOST, durations=measured(*ALL)))
    rto = next(one for one in plan.forecasts if one.objective == "rto")
    assert (rto.subject, rto.expected, rto.target, rto.verdict) == ("tier 1 (critical)", 610.0, 3600.0, "pass")


def test_what_is_known_to_be_too_long_is_a_breach_even_where_the_rest_is_unknown() -> None:
    plan = recover(snapshot(QUIET, LOST, durations=measured(("stage", "policy-db", 5000.0))))
    assert {finding.code for finding in plan.findings if finding.severity == "breach"} >= {"rto-breach"}
    assert not plan.blocked


def test_the_time_since_the_failure_counts() -> None:
    plan = recover(snapshot(QUIET, LOST, minute=120, durations=measured(*ALL)), failed_at=at(52).isoformat())
    rpo = next(one for one in plan.forecasts if one.objective == "rpo")
    assert (rpo.expected, rpo.verdict) == (120.0, "pass")
    rto = next(one for one in plan.forecasts if one.objective == "rto")
    assert rto.verdict == "fail"


def test_the_log_goes_on_where_the_staged_log_ended() -> None:
    plan = recover(snapshot(QUIET, member("stopped", **READABLE)))
    log = next(step for step in plan.steps if step.action == "archive-log")
    assert log.params["begin"] == {"output": "policy-db.stage.end"}
    assert log.builds_on == ("policy-db.stage",)


@pytest.mark.parametrize(("to", "timeline"), [("0/2800", 1), ("0/3400", 2), ("1/0/3400", 1), ("2/0/3400", 2)])
def test_a_position_lies_on_the_timeline_that_owns_it(to: str, timeline: int) -> None:
    catalog = shelf(FULL, FIRST, SECOND, a_history(2, 60, (1, 0x3000)), a_range("m1", 70, 0x3000, 0x3800, timeline=2))
    plan = recover(snapshot(catalog, LOST, minute=80), to)
    assert plan.steps[0].params["timeline"] == timeline


def test_planning_loads_no_driver() -> None:
    code = (
        "import sys; from aegis_plan.stores.postgresql import recover, protect; from aegis_plan.plan import recover; "
        "print([name for name in ('psycopg', 'boto3', 'networkx', 'rich', 'cryptography') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("1/0/3000", True),
        ("0/3000", True),
        ("FFFFFFFF/ffffffff", True),
        ("0/123456789", False),
        ("12345678901/0/3000", False),
        ("\u0661/0/3000", False),
        ("0/", False),
    ],
)
def test_what_the_command_line_takes_for_a_position_the_planner_does_too(text: str, taken: bool) -> None:
    asked = Asked(stores=("policy-db",), to=text)
    if not taken:
        with pytest.raises(UsageError) as refused:
            intent_of(asked, documents())
        assert "2026-11-23 14:05" in refused.value.hint, "the command line itself refuses it, and takes it for no time"
        return
    intent = intent_of(asked, documents())
    assert intent.to == text
    seen = snapshot(shelf(a_set("F1", 0, 0x1000, 0x2000)), member("primary"))
    assert plan_recovery(documents(), seen, intent, "d", "t").intent.to == text


def test_what_another_run_left_is_refused_before_anything_begins() -> None:
    left = member("stopped", leftovers={"/data.aegis-new.wal": "of-another"})
    plan = recover(snapshot(shelf(FULL), left))
    assert plan.blocked
    [found] = [one for one in plan.findings if one.severity == "error"]
    assert found.code == "staging-occupied"
    assert "/data.aegis-new.wal" in found.detail
    assert "aegis resume of-another" in found.hint


@pytest.mark.parametrize(
    ("signer", "left_out"),
    [("", True), ("ed25519:other", True), ("ed25519:listed", False)],
)
def test_a_site_that_cannot_sign_recovers_and_is_told_that_it_stays_unprotected(signer: str, left_out: bool) -> None:
    """A machine that stands in has a private key that opens, and none that signs."""
    seen = snapshot(QUIET, LOST)
    stands = seen.sites["seoul"].model_copy(update={"recipients": ("age1x",), "signer": signer})
    seen = seen.model_copy(update={"sites": {**seen.sites, "seoul": stands}})
    sealing = {"recovery_recipient": "age1x", "signers": {"seoul": "ed25519:listed"}}
    plan = recover(seen, changes={"sealing": sealing})
    assert not plan.blocked
    found = [finding for finding in plan.findings if finding.code == "recovery-unprotected"]
    assert of_store(plan) == ([*RESTORE] if left_out else [*RESTORE, "create-slot", "archive-log", "backup"])
    assert len(found) == left_out
    known = {step.id for step in plan.steps}
    assert all(set(step.needs) <= known for step in plan.steps)
    for finding in found:
        assert "aegis keys new seoul --signing" in finding.hint
        assert "policy-db.backup" in finding.detail


def test_a_machine_that_stands_in_for_a_lost_site_is_a_place() -> None:
    """The scenario took the site; the machine that took its place is there."""
    sites = {"db-lost": {"disruption": "site", "affects": {"sites": ["seoul"]}, "strategy": "restore"}}
    elsewhere = {name: {"kind": "local", "site": "busan", "path": f"/srv/{name}"} for name in ("here", "there")}
    changes = {"scenarios": sites, "repositories": elsewhere}
    lost = recover(snapshot(QUIET, LOST), changes=changes, stores=())
    assert lost.blocked
    stands = recover(snapshot(QUIET, LOST), changes=changes, stores=(), options={"stands_in": "seoul"})
    assert not stands.blocked, stands.findings
    assert of_store(stands)[: len(RESTORE)] == RESTORE
    said = recover(
        snapshot(QUIET, LOST), changes=changes, stores=(), options={"stands_in": "seoul"}, sites_down=("seoul",)
    )
    assert said.blocked, "who says that it is down is believed"
