"""A server that gives its data slowly, or stops giving it: progress, the lease and Ctrl-C stay alive."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from tests.crash.invariants import catalog_whole, nothing_left_behind
from tests.servers.toxiproxy import Proxy, Toxiproxy, toxiproxy
from tests.thread.proxied import Running, running, through
from tests.thread.world import World, world

__all__ = ["toxiproxy"]

MIB = 1024
"""In KB a second, as the proxy counts."""


@pytest.fixture(scope="module")
def slow(toxiproxy: Toxiproxy) -> Iterator[tuple[World, Proxy]]:
    """A world with some 60 MB of data whose leases last 6 seconds."""
    with world() as made:
        made.sql("CREATE TABLE filler AS SELECT g, repeat(md5(g::text), 8) FROM generate_series(1, 120000) g")
        made.environment["AEGIS_LEASE_SECONDS"] = "6"
        proxy = through(made, toxiproxy)
        made.ok("apply", "-y")
        yield made, proxy


def lease(made: World) -> tuple[datetime, datetime]:
    """When the lease of the data was renewed, and when it expires."""
    (path,) = made.repository("seoul").rglob("leases/policy-db.data.json")
    state = json.loads(path.read_text())
    return datetime.fromisoformat(state["renewed"]), datetime.fromisoformat(state["expires"])


def watched(made: World, backup: Running, seconds: float) -> set[datetime]:
    """Looks at the lease while the backup runs: it never expires; the moments at which it was renewed."""
    seen = set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert backup.process.poll() is None, backup.text
        renewed, expires = lease(made)
        assert expires > datetime.now(UTC), "the lease of a running backup expired"
        seen.add(renewed)
        time.sleep(0.1)
    return seen


def test_a_slow_server_leaves_progress_lease_and_interrupt_alive(slow: tuple[World, Proxy]) -> None:
    made, proxy = slow
    with proxy.toxic("bandwidth", rate=2 * MIB), running(made, "backup", "policy-db", "-y") as backup:
        backup.moving()
        assert len(watched(made, backup, 14)) >= 7, "the lease was not renewed once in two seconds"
        told = backup.progress()
        gaps = [later - sooner for (sooner, _), (later, _) in pairwise(told)]
        print(f"{len(told)} signs of progress, at most {max(gaps):.2f} s apart, {told[-1][1] / 1e6:.0f} MB")
        assert max(gaps) < 4
        assert all(sooner <= later for (_, sooner), (_, later) in pairwise(told))
        assert 14e6 < told[-1][1] < 80e6, "the proxy did not slow the server to 2 MiB a second"
        begun = time.monotonic()
        backup.interrupt()
        assert backup.end(30) == 6, backup.text
        assert time.monotonic() - begun < 10
    nothing_left_behind(made)


def test_a_server_that_stops_giving_data_leaves_lease_and_interrupt_alive(slow: tuple[World, Proxy]) -> None:
    made, proxy = slow
    known = {record.set for record in catalog_whole(made)}
    with proxy.toxic("bandwidth", rate=2 * MIB), running(made, "backup", "policy-db", "-y") as backup:
        backup.moving()
        with proxy.stalled():
            assert len(watched(made, backup, 10)) >= 5
            backup.interrupt()
            assert backup.end(30) == 6, backup.text
    assert {record.set for record in catalog_whole(made)} == known
    nothing_left_behind(made)


def test_a_slow_backup_becomes_a_set(slow: tuple[World, Proxy]) -> None:
    made, proxy = slow
    known = {record.set for record in catalog_whole(made)}
    with proxy.toxic("bandwidth", rate=8 * MIB), running(made, "backup", "policy-db", "-y") as backup:
        assert backup.end(120) == 0, backup.text
    assert len({record.set for record in catalog_whole(made)} - known) == 1
