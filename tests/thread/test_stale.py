"""A plan rests on what was seen, and that has to hold when its steps begin: after a wait for another run, and after a
person thought about it."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from aegis_plan.clock import SystemClock
from aegis_plan.repositories import keys, lease
from aegis_plan.repositories.local import LocalRepository
from tests.conformance.rig import until
from tests.thread.proxied import running
from tests.thread.world import World, world


@pytest.fixture(scope="module")
def made() -> Iterator[World]:
    """Two plans can be made here: to the end of the log, and to a moment before."""
    with world() as made:
        made.ok("apply", "-y")
        yield made


def test_a_plan_that_waited_for_another_run_is_held_against_what_that_left(made: World) -> None:
    moment = made.now()
    time.sleep(1.0)
    made.insert(10, "later")
    made.ok("backup", "policy-db", "--log", "-y")
    # One store is taken back by two people, who do not know of each other.
    for file, target in (("first.plan", "latest"), ("second.plan", moment)):
        planned = made.aegis("plan", "--scenario", "database-failure", "--to", target, "--out", file)
        assert planned.code in (0, 3), planned.text
    # A third run has the lease until both have looked and wait.
    authority = LocalRepository("seoul", made.repository("seoul"))
    held = lease.acquire(
        authority,
        keys.lease("aegis", "policy-db", "data"),
        "eve",
        "recovery",
        timedelta(hours=1),
        SystemClock(),
        "run-0",
    )
    wait = ("-y", "--lock-timeout", "3m")
    with running(made, "apply", "first.plan", *wait) as first, running(made, "apply", "second.plan", *wait) as second:
        for one in (first, second):
            until(lambda one=one: any(event["type"] == "lease-waiting" for _, event in one.events))
        lease.release(authority, held, SystemClock())
        codes = [first.end(), second.end()]
    assert sorted(codes) == [0, 4], first.text + second.text
    late = first if codes[0] else second
    error = late.events[-1][1]
    assert error["code"] == "plan-stale", late.text
    assert "policy-db/newest-set" in error["detail"]
    assert not any(event["type"] == "step-begun" for _, event in late.events)


def test_a_saved_plan_is_held_against_the_world_once_more_after_a_person_approved_it(made: World) -> None:
    planned = made.aegis("plan", "--scenario", "database-failure", "--out", "asked.plan")
    assert planned.code in (0, 3), planned.text
    keyboard, screen = pty.openpty()
    apply = subprocess.Popen(
        made.command("apply", "asked.plan"), cwd=made.folder, env=made.env(), stdin=screen, stdout=screen, stderr=screen
    )
    os.close(screen)
    seen = b""
    while b"approves:" not in seen:
        seen += os.read(keyboard, 4096)
    made.ok("backup", "policy-db", "-y")
    os.write(keyboard, b"yes\n")
    try:
        while piece := os.read(keyboard, 4096):
            seen += piece
    except OSError:
        pass  # the terminal is gone with its last user
    os.close(keyboard)
    assert apply.wait(60) == 4, seen.decode()
    assert b"plan-stale" in seen
    assert b"policy-db.stage  " not in seen.partition(b"approves:")[2]
