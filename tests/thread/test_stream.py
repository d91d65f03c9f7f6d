"""The log as a stream that the site's daemon keeps flowing: within seconds in the repositories, without a hole over
kills, restarts and absences, and an honest finding where log was lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.thread.beside import rows_beside
from tests.thread.daemon import Daemon, daemon, until
from tests.thread.world import World, world

SLOT = "aegis_policy_db"


def streaming(made: World) -> None:
    """Says in the documents that the log is streamed."""
    made.declare_log("stream: true, retain: 3 days")
    made.environment |= {"AEGIS_STREAM_SECONDS": "0.5", "AEGIS_LEASE_SECONDS": "12"}


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[World, Daemon]]:
    """A server whose log flows into two repositories."""
    with world() as made:
        streaming(made)
        with daemon(made) as running:
            made.ok("apply", "-y")
            running.flowed()
            yield made, running


@pytest.fixture
def flowing(shared: tuple[World, Daemon]) -> tuple[World, Daemon]:
    shared[1].flowed()
    return shared


def findings(made: World) -> set[str]:
    ran = made.aegis("plan", "--json")
    assert ran.code in (0, 3), ran.text
    return {
        event["finding"]["code"] if "finding" in event else event.get("code", "")
        for event in map(json.loads, ran.out.splitlines())
    }


def restart_lsn(made: World) -> int:
    found = made.sql(f"SELECT (restart_lsn - '0/0')::bigint FROM pg_replication_slots WHERE slot_name = '{SLOT}'")
    return int(found[0][0])


def held(made: World) -> dict[str, int]:
    """The furthest LSN whose record each repository holds."""
    ends = {}
    for repository in sorted((made.folder / "repositories").iterdir()):
        ends[repository.name] = max(
            (end_of(path) for path in repository.rglob("records/*.json")),
            default=0,
        )
    return ends


def end_of(path: Path) -> int:
    record = json.loads(path.read_text())["record"]
    if record["kind"] != "log" or record["details"].get("history"):
        return 0
    _, high, low = record["end"].split("/")
    return int(high, 16) << 32 | int(low, 16)


def test_committed_rows_are_in_the_repositories_within_seconds(flowing: tuple[World, Daemon]) -> None:
    made, running = flowing
    made.insert(50, "flowing")
    begun = time.monotonic()
    running.flowed(limit=20)
    print(f"archived after {time.monotonic() - begun:.1f} s")
    assert rows_beside(made) == made.rows()
    nothing = made.ok("plan", "--detailed-exitcode")
    assert "slot" not in nothing.text


def test_a_killed_daemon_goes_on_without_a_hole(flowing: tuple[World, Daemon]) -> None:
    made, running = flowing
    made.insert(20, "before the kill")
    running.kill()
    made.insert(20, "while nobody streams")
    running.start()
    made.insert(20, "after the kill")
    running.flowed()
    assert rows_beside(made) == made.rows()


def test_a_server_that_was_stopped_goes_on_without_a_hole(flowing: tuple[World, Daemon]) -> None:
    made, running = flowing
    made.insert(20, "before the stop")
    made.server.stop()
    until(lambda: running.stream["state"] != "streaming", "the stream does not notice that the server is gone")
    made.server.start()
    made.insert(20, "after the stop")
    running.flowed()
    assert rows_beside(made) == made.rows()


def test_repositories_that_are_away_confirm_nothing(flowing: tuple[World, Daemon]) -> None:
    made, running = flowing
    places = [made.repository(name) for name in ("seoul", "busan")]
    away = [place.rename(place.with_name(f"{place.name} away")) for place in places]
    try:
        made.insert(20, "while both are away")
        made.sql("SELECT pg_switch_wal()")
        made.insert(2000, "more")
        until(lambda: running.stream["state"] != "streaming", "the stream says it flows into nothing")
        time.sleep(3)
        assert not any(place.exists() for place in places), "a repository that was away was made anew"
        assert running.stream["state"] != "streaming"
    finally:
        for place, back in zip(places, away, strict=True):
            back.rename(place)
    assert restart_lsn(made) <= max(held(made).values()), "log was confirmed that no repository holds"
    running.flowed()
    assert rows_beside(made) == made.rows()


def test_one_repository_that_is_away_is_named_and_healed(flowing: tuple[World, Daemon]) -> None:
    made, running = flowing
    place = made.repository("busan")
    away = place.rename(place.with_name("busan away"))
    try:
        made.insert(20, "while busan is away")
        running.flowed()
        assert not place.exists()
        assert "repository-unreachable" in findings(made)
        assert rows_beside(made) == made.rows()
    finally:
        away.rename(place)
    made.ok("apply", "-y")
    seoul = made.repository("seoul")
    moved = seoul.rename(seoul.with_name("seoul away"))
    try:
        assert rows_beside(made, "--break-glass", "the authority burns") == made.rows()
    finally:
        moved.rename(seoul)


def test_a_slot_dropped_by_hand_is_told_and_made_again(flowing: tuple[World, Daemon]) -> None:
    made, running = flowing
    running.kill()
    until(lambda: not made.sql(f"SELECT 1 FROM pg_replication_slots WHERE slot_name = '{SLOT}' AND active"), "active")
    made.sql(f"SELECT pg_drop_replication_slot('{SLOT}')")
    made.insert(20, "nobody reserved this")
    for _ in range(3):
        made.sql("SELECT pg_switch_wal()")
        made.insert(10, "more")
    made.sql("CHECKPOINT")
    running.start()
    until(lambda: running.stream["state"] == "failed", lambda: running.stream)
    assert "slot-missing" in running.stream["error"]
    assert findings(made) & {"slot-lost", "log-hole"}
    status = made.aegis("status")
    assert "slot-missing" in status.text, status.text
    made.ok("apply", "-y")
    made.insert(20, "after the hole")
    running.flowed()
    assert rows_beside(made) == made.rows()
    assert made.aegis("plan", "--detailed-exitcode").code == 0


def test_a_slot_lost_by_its_limit_is_told_and_made_again(flowing: tuple[World, Daemon]) -> None:
    made, running = flowing
    running.kill()
    made.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'")
    made.sql("ALTER SYSTEM SET max_wal_size = '32MB'")
    made.sql("SELECT pg_reload_conf()")
    for _ in range(8):
        made.insert(10, "log that the slot cannot keep")
        made.sql("SELECT pg_switch_wal()")
    made.sql("CHECKPOINT")
    status = made.sql(f"SELECT wal_status FROM pg_replication_slots WHERE slot_name = '{SLOT}'")
    assert status == [("lost",)]
    running.start()
    until(lambda: running.stream["state"] == "failed", lambda: running.stream)
    assert findings(made) & {"slot-lost", "log-hole"}
    made.sql("ALTER SYSTEM RESET max_slot_wal_keep_size")
    made.sql("SELECT pg_reload_conf()")
    made.ok("apply", "-y")
    made.insert(20, "after the loss")
    running.flowed()
    assert rows_beside(made) == made.rows()
    assert made.aegis("plan", "--detailed-exitcode").code == 0


def test_a_recovery_stops_the_stream_and_it_goes_on_by_itself(flowing: tuple[World, Daemon]) -> None:
    made, running = flowing
    made.insert(20, "before the disaster")
    running.flowed()
    rows = made.rows()
    timeline = int(running.stream["position"].partition("/")[0])
    made.destroy()
    made.ok("apply", "-y", "--scenario", "database-failure")
    assert made.rows() == rows
    made.insert(20, "after the recovery")
    running.flowed()
    assert int(running.stream["position"].partition("/")[0]) == timeline + 1
    assert rows_beside(made) == made.rows()
    assert made.aegis("plan", "--detailed-exitcode").code == 0


def test_the_stream_follows_a_server_that_left_its_timeline_earlier(flowing: tuple[World, Daemon]) -> None:
    """Back to a moment: the archive reaches further on the old timeline than the point where the new one begins."""
    made, running = flowing
    made.insert(20, "kept")
    running.flowed()
    time.sleep(0.2)
    moment, rows = made.now(), made.rows()
    time.sleep(0.2)
    made.insert(500, "taken back")
    running.flowed()
    timeline = int(running.stream["position"].partition("/")[0])
    made.ok("restore", "policy-db", "--to", moment, "-y")
    assert made.rows() == rows
    made.insert(20, "on the new timeline")
    running.flowed()
    assert int(running.stream["position"].partition("/")[0]) == timeline + 1
    running.kill()
    made.insert(20, "while nobody streams")
    running.start()
    running.flowed()
    assert rows_beside(made) == made.rows()


def test_a_terminated_daemon_lets_go_at_once(flowing: tuple[World, Daemon]) -> None:
    made, running = flowing
    begun = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - begun < 10
    # Its lease is free: a log job by hand is not held up.
    made.insert(5, "by hand")
    said = made.ok("status").text
    assert "no daemon" in said
    running.start()
    running.flowed()
