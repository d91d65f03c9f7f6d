"""The plan file: the same bytes for the same inputs, and nothing that was changed after it was made."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aegis_plan.errors import AegisError, StaleError
from aegis_plan.plan.difference import difference, facts_moved, holds
from aegis_plan.plan.plan import Intent, Plan
from aegis_plan.plan.planfile import digest, read, write
from aegis_plan.plan.protect import plan_protection
from aegis_plan.plan.recover import plan_recovery
from aegis_plan.plan.step import Fact
from tests.plan.world import a_range, a_set, documents, member, shelf, snapshot

ROOT = Path(__file__).parent.parent.parent


def recovery() -> Plan:
    catalog = shelf(a_set("F1", 0, 0x1000, 0x2000), a_range("l1", 50, 0x1000, 0x5000))
    intent = Intent(kind="recover", scenario="db-lost", stores=("policy-db",), to="latest")
    return plan_recovery(documents(), snapshot(catalog, member("stopped")), intent, "d", "test")


def test_two_processes_make_the_same_bytes() -> None:
    program = "from tests.plan.test_plan_files import *; import sys; sys.stdout.buffer.write(write(recovery()))"
    made = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert made == {write(recovery())}


def test_what_was_written_is_read_back() -> None:
    plan = recovery()
    again, named = read(write(plan))
    assert again == plan
    assert named == digest(plan) == digest(again)


def test_a_changed_plan_is_refused() -> None:
    outer = json.loads(write(recovery()))
    outer["plan"]["steps"][0]["params"]["need_bytes"] = 1
    with pytest.raises(StaleError) as caught:
        read(json.dumps(outer).encode())
    assert caught.value.code == "plan-altered"


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff\xfe", b'{"plan": 1, "digest": 2}', b"[" * 100_000])
def test_what_is_no_plan_is_refused_without_a_traceback(data: bytes) -> None:
    with pytest.raises(AegisError) as caught:
        read(data)
    assert caught.value.code == "plan-unreadable"


def test_every_cut_is_refused() -> None:
    data = write(recovery())
    for length in range(0, len(data) - 1, 997):
        with pytest.raises(AegisError):
            read(data[:length])


def test_a_newer_format_is_refused() -> None:
    outer = json.loads(write(recovery()))
    outer["plan"]["oldest_reader"] = 99
    with pytest.raises(AegisError) as caught:
        read(json.dumps(outer).encode())
    assert caught.value.code == "format-too-new"


def test_the_difference_names_steps_and_facts() -> None:
    old = plan_protection(documents(), snapshot(shelf(), member(slot=None)), "d1", "test")
    full = a_set("F1", 0, 0x1000, 0x2000)
    new = plan_protection(documents(), snapshot(shelf(full), member(timeline=2)), "d2", "test")
    lines = difference(old, new)
    assert "~ the documents were changed" in lines
    assert any(line.startswith("- policy-db.create-slot") for line in lines)
    assert "~ policy-db/seoul-1/timeline was 1, is 2" in lines
    assert "~ policy-db/newest-set was nothing, is F1" in lines
    assert difference(old, old) == ()


def test_a_measurement_within_its_tolerance_makes_nothing_stale() -> None:
    lag = Fact(name="x/lag", value=100, tolerance=50)
    assert holds(lag, 149)
    assert not holds(lag, 151)
    assert not holds(lag, None)
    space = Fact(name="x/free", value=1000, at_least=500)
    assert holds(space, 500)
    assert not holds(space, 499)
    assert holds(space, 10**9)
    assert facts_moved((), {}) == ()
