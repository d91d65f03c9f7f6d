"""Records of the schedule go once they are older than the documents say, by the plan of `prune` and by that of every
day, and none goes while the clock cannot be right. Stores that nobody declares are told of."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from aegis_plan.catalog.schedule_record import ScheduleRecord
from aegis_plan.cli.main import main
from aegis_plan.cli.planning import make_plan
from aegis_plan.cli.posture import posture_of
from aegis_plan.observe.rooms import rooms
from aegis_plan.plan.plan import Intent, Plan
from aegis_plan.repositories import keys, schedule_history
from tests.schedule.month import DOCUMENTS, Month, local

NOON = local("2026-10-17 12:00")


@pytest.fixture
def month(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Month:
    """A system whose schedule has been kept for 50 days, and whose history is kept for 40."""
    monkeypatch.chdir(tmp_path)
    for name in ("plans", "here", "there"):
        (tmp_path / name).mkdir()
    (tmp_path / "plans" / "aegis.yaml").write_text(DOCUMENTS.replace("lease: 1h", "lease: 1h, history: 40 days"))
    assert main(["keys", "new", "seoul", "--dir", "site", "--documents", "plans/sealing.yaml"]) == 0
    made = Month(tmp_path, NOON, lambda _moment: True)
    signing = made.here.keys.signing
    assert signing is not None
    for day in range(51):
        at = NOON - timedelta(days=50 - day)
        record = ScheduleRecord(
            id=f"record-{day}", system="aegis", store="policy-db", aspect="log", site="seoul", by="timer", due=(),
            begun=at, ended=at, verdict="nothing",
        )  # fmt: skip
        assert set(schedule_history.write(record, signing, made.repositories, tmp_path / "spool", at).values()) == {
            None
        }
    return made


def planned(month: Month, kind: str) -> Plan:
    return make_plan(month.world, Intent(kind=kind))  # type: ignore[arg-type]  # one of the words


def carried_out(month: Month, plan: Plan) -> None:
    for step in plan.steps:
        if step.action == "prune-history":
            month._step(plan, step.id, step.action, step.params, "run")


def days(month: Month) -> list[list[str]]:
    found = [one for one in month.repositories.values() if not isinstance(one, Exception)]
    assert len(found) == 2
    return [list(schedule_history.days(one, "aegis", "")) for one in found]


@pytest.mark.parametrize("kind", ["prune", "protect"])
def test_old_records_go_everywhere_and_the_others_stay(month: Month, kind: str) -> None:
    plan = planned(month, kind)
    step = next(one for one in plan.steps if one.action == "prune-history")
    assert "10 days" in step.title
    before = days(month)
    carried_out(month, plan)
    assert days(month) == [one[10:] for one in before]
    assert days(month)[0][0] == f"{NOON - timedelta(days=40):%Y-%m-%d}"
    assert not [one for one in planned(month, kind).steps if one.action == "prune-history"]


@pytest.mark.parametrize("jump", [timedelta(days=300), timedelta(days=-20)])
def test_a_clock_that_jumps_deletes_nothing(month: Month, jump: timedelta) -> None:
    before, plan = days(month), planned(month, "prune")
    month.clock.at += jump
    assert not [one for one in planned(month, "prune").steps if one.action == "prune-history"]
    carried_out(month, plan)  # of a plan that was made before it
    assert days(month) == before


def test_a_store_that_nobody_declares_is_told_of_and_stays(month: Month) -> None:
    there = month.repositories["there"]
    assert not isinstance(there, Exception)
    left = keys.record("aegis", "old-db", "lineage", "a-record")
    there.put(left, b"{}")
    for kind in ("prune", "protect"):
        plan = planned(month, kind)
        found = [one for one in plan.findings if one.code == "store-orphaned"]
        assert [one.detail for one in found] == ["old-db: in there"]
        carried_out(month, plan)
        assert posture_of(month.documents, plan.snapshot, plan).orphans == (("old-db", ("there",)),)
    assert there.head(left) is not None


def test_a_repository_that_is_away_hides_no_other(month: Month, tmp_path: Path) -> None:
    (tmp_path / "here").rename(tmp_path / "gone")
    here, there = rooms("aegis", month.repositories, NOON, timedelta(days=40))
    assert len(there.history) == 51
    assert here.history == ()
