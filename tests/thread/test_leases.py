"""Who may work on a store: one run an aspect, named to the others; a recovery goes first; Ctrl-C ends gracefully."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aegis_plan.catalog.record import SetRecord
from tests.crash.invariants import catalog_whole, nothing_left_behind
from tests.servers.toxiproxy import Proxy, Toxiproxy, toxiproxy
from tests.thread.beside import rows_beside
from tests.thread.proxied import running, through
from tests.thread.world import World, world

__all__ = ["toxiproxy"]

SLOW = 400
"""KB a second: a full of an empty server then takes about a minute."""


@pytest.fixture(scope="module")
def slow(toxiproxy: Toxiproxy) -> Iterator[tuple[World, Proxy]]:
    """A protected world, reached through a proxy."""
    with world() as made:
        made.environment["AEGIS_LEASE_SECONDS"] = "12"
        proxy = through(made, toxiproxy)
        made.ok("apply", "-y")
        yield made, proxy


def sets(made: World) -> list[SetRecord]:
    return catalog_whole(made)


def lease(made: World, aspect: str) -> dict[str, object]:
    (path,) = made.repository("seoul").rglob(f"leases/policy-db.{aspect}.json")
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found


def newest(made: World, before: set[Path]) -> Path:
    (found,) = set(made.runs()) - before
    return found


def test_a_second_run_is_refused_and_the_log_job_is_not(slow: tuple[World, Proxy]) -> None:
    made, proxy = slow
    known, runs = {record.set for record in sets(made)}, set(made.runs())
    with proxy.toxic("bandwidth", rate=SLOW), running(made, "backup", "policy-db", "-y") as first:
        first.moving()
        run = newest(made, runs)
        refused = made.aegis("backup", "policy-db", "-y")
        assert refused.code == 5, refused.text
        assert "lease-held" in refused.text
        for word in (run.name, f"{getpass.getuser()}@", "backup", "since"):
            assert word in refused.text, f"{word} is not in\n{refused.text}"
        begun = time.monotonic()
        waited = made.aegis("backup", "policy-db", "-y", "--lock-timeout", "3s")
        assert waited.code == 5, waited.text
        assert time.monotonic() - begun >= 3
        made.insert(10, "while a full runs")
        made.ok("backup", "policy-db", "--log", "-y")
        assert first.process.poll() is None, "the log job did not run beside the full"
        with running(made, "backup", "policy-db", "-y", "--lock-timeout", "2m") as second:
            end = time.monotonic() + 30
            while not any(event["type"] == "lease-waiting" for _, event in second.events):
                assert time.monotonic() < end, second.text
                time.sleep(0.1)
            proxy.clear()
            assert first.end() == 0, first.text
            assert second.end() == 0, second.text
    made_now = {record.run for record in sets(made) if record.set not in known}
    assert len(made_now) == 2
    assert run.name in made_now
    assert rows_beside(made) == made.rows()


def test_ctrl_c_ends_gracefully_and_it_can_be_resumed(slow: tuple[World, Proxy]) -> None:
    made, proxy = slow
    known, runs = {record.set for record in sets(made)}, set(made.runs())
    with proxy.toxic("bandwidth", rate=SLOW), running(made, "backup", "policy-db", "-y") as backup:
        backup.moving()
        begun = time.monotonic()
        backup.interrupt()
        assert backup.end(30) == 6, backup.text
        assert time.monotonic() - begun < 10
    run = newest(made, runs)
    assert {record.set for record in sets(made)} == known
    nothing_left_behind(made)
    assert lease(made, "data")["expires"] <= lease(made, "data")["renewed"]  # type: ignore[operator]
    assert run.name in made.ok("runs").text
    made.ok("resume", run.name)
    assert {record.run for record in sets(made) if record.set not in known} == {run.name}


def test_a_second_ctrl_c_ends_at_once_and_it_can_be_resumed(slow: tuple[World, Proxy]) -> None:
    made, proxy = slow
    known, runs = {record.set for record in sets(made)}, set(made.runs())
    with proxy.toxic("bandwidth", rate=SLOW), running(made, "backup", "policy-db", "-y") as backup:
        backup.moving()
        backup.interrupt()
        time.sleep(0.02)
        backup.interrupt()
        code = backup.end(5)
        # The first may have been quicker.
        assert code in (6, 130), backup.text
        print(f"ended with {code}")
    run = newest(made, runs)
    assert {record.set for record in sets(made)} == known
    made.ok("resume", run.name)
    assert {record.run for record in sets(made) if record.set not in known} == {run.name}
    nothing_left_behind(made)


def test_a_server_that_goes_away_in_the_middle_leaves_no_set(slow: tuple[World, Proxy]) -> None:
    made, proxy = slow
    known = {record.set for record in sets(made)}
    with proxy.toxic("bandwidth", rate=SLOW), running(made, "backup", "policy-db", "-y") as backup:
        backup.moving()
        made.server.stop("immediate")
        try:
            code = backup.end(120)
        finally:
            made.server.start()
    assert code in (1, 7), backup.text
    assert {record.set for record in sets(made)} == known
    assert "server-lost" in backup.text or "server-unreachable" in backup.text, backup.text
    nothing_left_behind(made)
    made.ok("backup", "policy-db", "-y")


def test_a_recovery_stops_a_running_backup_and_goes_first(slow: tuple[World, Proxy]) -> None:
    made, proxy = slow
    made.insert(30, "kept")
    made.ok("backup", "policy-db", "--log", "-y")
    rows, moment = made.rows(), made.now()
    time.sleep(0.2)
    made.insert(30, "taken back")
    made.ok("backup", "policy-db", "--log", "-y")
    known, runs = {record.set for record in sets(made)}, set(made.runs())
    with proxy.toxic("bandwidth", rate=SLOW), running(made, "backup", "policy-db", "-y") as backup:
        backup.moving()
        run = newest(made, runs)
        with running(made, "restore", "policy-db", "--to", moment, "-y") as recovery:
            assert backup.end() == 6, backup.text
            proxy.clear()
            assert recovery.end() == 0, recovery.text
    (stopping,) = [entry for entry in made.journal(run) if entry["kind"] == "stopping"]
    assert "recovery" in stopping["data"]["why"]
    assert run.name not in {record.run for record in sets(made)}
    assert len({record.set for record in sets(made)} - known) == 1, "the full of the recovery's own tail"
    assert made.rows() == rows
    nothing_left_behind(made)
