"""What a plan without a scenario does for one PostgreSQL store, in every state that it can be found in."""

from __future__ import annotations

from typing import Any

import pytest

from aegis_plan.catalog.holding import Damage
from aegis_plan.catalog.record import LockRecord
from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import MemberLook, Snapshot
from aegis_plan.plan.backup import plan_backup
from aegis_plan.plan.plan import Intent, Plan
from aegis_plan.plan.protect import plan_protection
from tests.plan.world import (
    LINEAGE,
    RUNNING,
    a_history,
    a_range,
    a_set,
    a_tombstone,
    at,
    documents,
    member,
    shelf,
    snapshot,
    stored,
)

DAY = 24 * 60.0
FULL = a_set("F1", 0, 0x1000, 0x2000)
LOG = a_range("l1", 50, 0x1000, 0x5000)
QUIET = shelf(FULL, LOG)


def protect(seen: Snapshot, **changes: Any) -> Plan:
    return plan_protection(documents(**changes), seen, "d", "test")


def kinds(plan: Plan) -> list[str]:
    return [step.action for step in plan.steps]


def codes(plan: Plan) -> set[str]:
    return {finding.code for finding in plan.findings}


def slot(**changes: Any) -> dict[str, Any]:
    return {**RUNNING["slot"], **changes}


def test_all_is_as_declared() -> None:
    plan = protect(snapshot(QUIET))
    assert plan.steps == ()
    assert plan.findings == ()
    assert [(one.expected, one.verdict) for one in plan.forecasts] == [(0.0, "pass")]


def test_the_first_plan_makes_slot_full_and_log_in_this_order() -> None:
    plan = protect(snapshot(shelf(), member(slot=None)))
    assert kinds(plan) == ["create-slot", "backup", "archive-log"]
    backup, log = plan.steps[1], plan.steps[2]
    assert backup.params["method"] == "full"
    assert backup.reason == "there is no backup yet"
    assert "policy-db.create-slot" in backup.needs
    assert "policy-db.backup" in log.needs
    assert log.params["begin"] is None
    assert [step.lease for step in plan.steps] == ["policy-db/log", "policy-db/data", "policy-db/log"]
    assert [one.verdict for one in plan.forecasts] == ["could_not_verify"]


def test_an_incremental_is_due_at_its_hour_and_not_before() -> None:
    assert kinds(protect(snapshot(QUIET, minute=DAY - 1))) == []
    plan = protect(snapshot(QUIET, minute=DAY + 1))
    assert kinds(plan) == ["backup"]
    assert plan.steps[0].params["method"] == "incremental"
    assert plan.steps[0].params["parent"] == "r-F1"
    assert len(plan.steps[0].params["parent_digest"]) == 64


def test_a_full_is_due_after_a_week_and_brings_its_log() -> None:
    plan = protect(snapshot(QUIET, minute=7 * DAY + 1))
    assert kinds(plan) == ["backup", "archive-log"]
    assert plan.steps[0].params["method"] == "full"
    assert plan.steps[1].params["begin"] == "1/0/5000"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": 150018}, "PostgreSQL 15 takes no incremental"),
        ({"summarize_wal": False}, "does not summarize"),
        ({"data_checksums": False}, "neither data checksums nor wal_log_hints"),
    ],
)
def test_an_incremental_that_may_not_be_becomes_a_full_and_says_why(change: dict[str, Any], why: str) -> None:
    plan = protect(snapshot(QUIET, member(**change), minute=DAY + 1))
    assert plan.steps[0].params["method"] == "full"
    assert why in plan.steps[0].params["why_full"]
    assert why in plan.steps[0].reason


def test_hashes_of_pages_take_the_place_of_what_a_server_does_not_tell() -> None:
    full = FULL.model_copy(update={"objects": (*FULL.objects, stored("pages.000", 100))})
    plan = protect(snapshot(shelf(full, LOG), member(version=150018), minute=DAY + 1))
    assert plan.steps[0].params["method"] == "incremental"
    assert [note.code for note in plan.findings if "15 takes no incremental" in note.detail] == ["incremental-by-pages"]


@pytest.mark.parametrize(("behind", "told"), [(30.0, True), (1.0, False)])
def test_a_replica_that_is_read_and_lies_too_far_behind_is_told(behind: float, told: bool) -> None:
    plain = documents()
    body = plain.model_dump(mode="json")
    store = body["stores"]["policy-db"]
    store["members"]["seoul-2"] = {"site": "seoul", "connection": "${env:DB}", "lag": "5s"}
    store["backup"]["from_member"] = "seoul-2"
    replica = member("replica", name="seoul-2", lag_seconds=behind, flush_lsn="0/5000")
    ahead = member(flush_lsn="0/6000")
    plan = plan_protection(type(plain).model_validate(body), snapshot(QUIET, ahead, replica), "d", "test")
    assert ("replica-behind" in [note.code for note in plan.findings]) is told


def test_hints_are_enough_without_checksums() -> None:
    plan = protect(snapshot(QUIET, member(data_checksums=False, wal_log_hints=True), minute=DAY + 1))
    assert plan.steps[0].params["method"] == "incremental"


def test_a_chain_does_not_grow_without_end() -> None:
    sets = [
        FULL,
        *(a_set(f"I{n}", n, 0x2000 + n, 0x2000 + n, parent=f"I{n - 1}" if n > 1 else "F1") for n in range(1, 7)),
    ]
    plan = protect(snapshot(shelf(*sets, LOG), minute=DAY + 10))
    assert "the chain has 7 sets" in plan.steps[0].params["why_full"]


def test_a_new_timeline_needs_a_full_at_once() -> None:
    plan = protect(snapshot(QUIET, member(timeline=2, slot=slot(restart_lsn="0/4000"))))
    assert kinds(plan) == ["backup", "archive-log"]
    assert plan.steps[0].params["method"] == "full"
    assert "timeline 2" in plan.steps[0].reason
    assert plan.steps[1].params["begin"] == "1/0/5000"


def test_a_full_on_the_new_timeline_is_enough() -> None:
    catalog = shelf(
        FULL,
        LOG,
        a_history(2, 51, (1, 0x5000)),
        a_set("F2", 52, 0x5000, 0x5100, timeline=2),
        a_range("l2", 55, 0x5000, 0x6000, timeline=2),
    )
    plan = protect(snapshot(catalog, member(timeline=2, flush_lsn="0/6000")))
    assert plan.steps == ()
    assert plan.forecasts[0].expected == 0.0


def test_another_system_identifier_is_a_new_history() -> None:
    plan = protect(snapshot(QUIET, member(lineage="1-18", slot=None)))
    assert plan.steps[1].params["method"] == "full"
    assert "new history" in plan.steps[1].reason


def test_a_lost_slot_is_named_and_a_full_follows() -> None:
    plan = protect(snapshot(QUIET, member(slot=slot(wal_status="lost", restart_lsn=None))))
    assert "slot-lost" in codes(plan)
    assert kinds(plan) == ["create-slot", "backup", "archive-log"]
    assert plan.steps[2].params["begin"] is None


def test_a_slot_that_is_ahead_of_the_archive_is_a_hole_with_its_range() -> None:
    plan = protect(snapshot(QUIET, member(slot=slot(restart_lsn="0/9000"), flush_lsn="0/9000")))
    hole = next(finding for finding in plan.findings if finding.code == "log-hole")
    assert "1/0/5000" in hole.detail
    assert "0/9000" in hole.detail
    assert plan.steps[0].params["method"] == "full"


def test_a_slot_without_a_limit_is_refused_with_the_line_that_sets_one() -> None:
    seen = snapshot(QUIET, member(max_slot_wal_keep_size_mb=-1))
    plan = protect(seen)
    assert plan.blocked
    assert "ALTER SYSTEM SET max_slot_wal_keep_size" in plan.findings[0].hint
    accepted = documents().model_dump(mode="json")["stores"]["policy-db"]["backup"]["log"]
    assert not protect(seen, stores__policy_db__backup__log={**accepted, "accept_unlimited_slot": True}).blocked


def test_a_slot_near_its_limit_is_said() -> None:
    assert "slot-near-its-limit" in codes(protect(snapshot(QUIET, member(slot=slot(safe_bytes=1000)))))


def test_the_log_is_archived_when_it_is_due() -> None:
    behind = member(flush_lsn="0/7000")
    assert kinds(protect(snapshot(QUIET, behind, minute=59))) == []
    plan = protect(snapshot(QUIET, behind, minute=61))
    assert kinds(plan) == ["archive-log"]
    assert plan.steps[0].params["begin"] == "1/0/5000"
    assert plan.steps[0].reason == "8.0 KiB are not archived"


def test_an_idle_server_needs_no_log_job() -> None:
    plan = protect(snapshot(QUIET, minute=600))
    assert kinds(plan) == []
    assert plan.forecasts[0].expected == 0.0


def test_a_log_that_should_stream_and_does_not() -> None:
    log = {"stream": True}
    plan = protect(snapshot(QUIET), stores__policy_db__backup__log=log)
    assert kinds(plan) == ["start-log-stream"]
    assert plan.steps[0].lease == ""
    assert plan.steps[0].params["slot"] == "aegis_policy_db"
    daemon = {"streams": {"policy-db": {"state": "streaming"}}}
    seen = snapshot(QUIET, member(slot=slot(active=True)), daemon=daemon)
    assert kinds(protect(seen, stores__policy_db__backup__log=log)) == []
    assert kinds(protect(seen)) == ["stop-log-stream"]


def test_nobody_reads_a_slot_that_should_be_streamed() -> None:
    daemon = {"streams": {"policy-db": {"state": "waiting"}}}
    plan = protect(snapshot(QUIET, daemon=daemon), stores__policy_db__backup__log={"stream": True})
    assert "slot-inactive" in codes(plan)


def test_a_missing_copy_comes_from_its_sister() -> None:
    plan = protect(snapshot(shelf(FULL, LOG, missing={"there": ("F1", "l1")})))
    assert kinds(plan) == ["copy-set", "copy-set"]
    assert {(step.params["source"], step.params["target"]) for step in plan.steps} == {("here", "there")}
    assert {step.params["record"] for step in plan.steps} == {"r-F1", "r-l1"}


def test_a_local_copy_goes_when_others_are_enough_and_does_not_come_back() -> None:
    cleaned = {"kind": "local", "site": "seoul", "path": "/srv/here", "clean_up_after_copies": 1}
    plan = protect(snapshot(QUIET), repositories__here=cleaned)
    assert kinds(plan) == ["clean-up"]
    assert plan.steps[0].params["repository"] == "here"
    assert kinds(protect(snapshot(shelf(FULL, LOG, missing={"here": ("F1",)})), repositories__here=cleaned)) == []


def test_what_a_tombstone_ended_is_not_copied() -> None:
    old = a_set("F0", -10, 0x10, 0x20)
    assert kinds(protect(snapshot(shelf(old, FULL, LOG, a_tombstone("F0"), missing={"there": ("F0",)})))) == ["prune"]


def test_a_repository_that_is_away_is_not_an_empty_one() -> None:
    plan = protect(snapshot(shelf(FULL, LOG, away=("there",))))
    assert kinds(plan) == []
    assert codes(plan) == {"repository-unreachable"}


def test_damage_is_a_finding_and_a_wrong_signature_a_breach() -> None:
    damage = (
        Damage(repository="here", key="k/1", kind="missing-object", detail="gone", record="r-F1"),
        Damage(repository="here", key="k/2", kind="unknown-signer", detail="who is it"),
    )
    plan = protect(snapshot(shelf(FULL, LOG, damage={"here": damage})))
    assert [(one.severity, one.code) for one in plan.findings] == [
        ("breach", "signer-not-listed"),
        ("warning", "copy-damaged"),
    ]
    assert [step.params["target"] for step in plan.steps] == ["here"]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ((member("unreachable"),), "member-unreachable"),
        ((member("unknown"),), "member-unreachable"),
        ((member("stopped"),), "no-primary"),
        ((member(), member(name="seoul-2")), "two-primaries"),
        ((member(can_replicate=False),), "no-replication-right"),
        ((member(wal_level="minimal"),), "wal-level-minimal"),
    ],
)
def test_a_server_that_cannot_be_backed_up_gets_no_steps_and_an_error(
    members: tuple[MemberLook, ...], code: str
) -> None:
    plan = protect(snapshot(shelf(), *members))
    assert plan.steps == ()
    assert plan.blocked
    assert code in codes(plan)


def test_a_store_that_cannot_be_backed_up_keeps_no_other_from_it() -> None:
    plain = documents().model_dump(mode="json")
    plain["stores"]["other-db"] = plain["stores"]["policy-db"]
    seen = snapshot(shelf(), member("unreachable"))
    well = snapshot(shelf(), member()).stores["policy-db"].model_copy(update={"store": "other-db"})
    seen = seen.model_copy(update={"stores": {**seen.stores, "other-db": well}})
    plan = plan_protection(Documents.model_validate(plain), seen, "d", "t")
    assert not plan.blocked
    assert {step.subject for step in plan.steps if step.action == "backup"} == {"other-db"}
    told = next(finding for finding in plan.findings if finding.code == "member-unreachable")
    assert (told.subject, told.severity) == ("policy-db", "breach")


def test_an_exposure_beyond_the_objective_is_said() -> None:
    plan = protect(snapshot(QUIET, member(flush_lsn="0/7000"), minute=59))
    assert plan.forecasts[0].expected == 9 * 60
    assert "rpo-at-risk" in codes(plan)


@pytest.mark.parametrize(("method", "action"), [("full", "backup"), ("incremental", "backup"), ("log", "archive-log")])
def test_a_backup_by_hand(method: str, action: str) -> None:
    intent = Intent(kind="backup", stores=("policy-db",), options={"method": method})
    plan = plan_backup(documents(), snapshot(QUIET), "d", "test", intent)
    assert kinds(plan) == [action]
    assert plan.steps[0].reason == "asked for"
    if action == "backup":
        assert plan.steps[0].params["method"] == method


def test_facts_of_steps_are_facts_of_the_snapshot() -> None:
    seen = snapshot(shelf(), member(slot=None))
    facts = [fact for step in protect(seen).steps for fact in step.facts]
    assert facts
    assert [fact for fact in facts if seen.facts[fact.name] != fact.value] == []


def test_moments_are_those_of_the_snapshot() -> None:
    assert protect(snapshot(QUIET, minute=5)).made_at == at(5)


def test_a_set_behind_the_end_of_the_archive_is_joined_to_it_by_the_next_log() -> None:
    later = a_set("F2", 40, 0x6000, 0x6100)
    seen = snapshot(shelf(FULL, LOG, later), member(flush_lsn="0/6100", slot=slot(restart_lsn="0/5000")))
    plan = protect(seen)
    assert kinds(plan) == ["archive-log"]
    assert plan.steps[0].params["begin"] == "1/0/5000"
    moved = protect(snapshot(shelf(FULL, LOG, later), member(flush_lsn="0/9000", slot=slot(restart_lsn="0/7000"))))
    assert "log-hole" in codes(moved)
    assert moved.steps[0].params["method"] == "full"


def test_what_is_locked_is_deleted_once_that_ends() -> None:
    old = a_set("F0", -10, 0x10, 0x20)
    lock = LockRecord(
        id="r-lock",
        system="aegis",
        store="policy-db",
        lineage=LINEAGE,
        aspect="data",
        written=at(0),
        site="seoul",
        repository="there",
        targets=("r-F0",),
        until=at(90),
        run="x",
    )
    catalog = shelf(old, FULL, LOG, a_tombstone("F0"), lock)
    before = protect(snapshot(catalog, minute=60))
    assert (kinds(before), codes(before)) == ([], {"expired-but-locked"})
    assert kinds(protect(snapshot(catalog, minute=91)))[-1] == "prune"
