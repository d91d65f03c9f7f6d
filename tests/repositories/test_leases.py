"""Leases: one holder, growing epochs, a way to ask, and replies that got lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aegis_plan.errors import LockedError, UnavailableError
from aegis_plan.repositories import lease
from aegis_plan.repositories.local import LocalRepository

TTL = timedelta(seconds=60)
KEY = "v1/s/state/leases/x.data.json"


class HandClock:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Lossy(LocalRepository):
    """Writes, and loses the reply."""

    def compare_and_set(self, key: str, expected: str | None, data: bytes) -> str:
        super().compare_and_set(key, expected, data)
        raise UnavailableError("repository-unreachable", "a repository cannot be reached")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def authority(tmp_path: Path) -> LocalRepository:
    return LocalRepository("authority", tmp_path / "authority")


def test_one_holds_it_and_the_other_is_told_who(authority: LocalRepository, clock: HandClock) -> None:
    held = lease.acquire(authority, KEY, "kim", "backup", TTL, clock, "run-1")
    clock.sleep(20)
    with pytest.raises(LockedError) as caught:
        lease.acquire(authority, KEY, "lee", "recovery", TTL, clock, "run-2")
    assert caught.value.exit_code == 5
    for part in ("x.data", "kim", "backup", "run-1", "20 s"):
        assert part in caught.value.detail
    lease.release(authority, held, clock)
    assert lease.acquire(authority, KEY, "lee", "recovery", TTL, clock, "run-2").epoch > held.epoch


def test_an_expired_lease_is_taken_and_its_former_holder_finds_out(
    authority: LocalRepository, clock: HandClock
) -> None:
    held = lease.acquire(authority, KEY, "kim", "backup", TTL, clock, "run-1")
    clock.sleep(50)
    held = lease.renew(authority, held, TTL, clock)
    clock.sleep(50)
    with pytest.raises(LockedError):
        lease.acquire(authority, KEY, "lee", "backup", TTL, clock, "run-2")
    clock.sleep(11)
    taken = lease.acquire(authority, KEY, "lee", "backup", TTL, clock, "run-2")
    assert taken.epoch > held.epoch
    with pytest.raises(LockedError) as caught:
        lease.renew(authority, held, TTL, clock)
    assert caught.value.code == "lease-lost"
    lease.release(authority, held, clock)
    assert lease.renew(authority, taken, TTL, clock).epoch == taken.epoch


def test_a_higher_purpose_asks_and_a_lower_one_may_not(authority: LocalRepository, clock: HandClock) -> None:
    assert lease.ask_to_stop(authority, KEY, "recovery", "run-2", clock) is None
    held = lease.acquire(authority, KEY, "kim", "backup", TTL, clock, "run-1")
    for purpose in ("backup", "prune"):
        with pytest.raises(LockedError):
            lease.ask_to_stop(authority, KEY, purpose, "run-2", clock)  # type: ignore[arg-type]  # a literal each
    assert lease.ask_to_stop(authority, KEY, "recovery", "run-2", clock) is not None
    held = lease.renew(authority, held, TTL, clock)
    assert held.state.stop_asked_by == "recovery run-2"
    lease.release(authority, held, clock)
    with pytest.raises(LockedError):
        lease.renew(authority, held, TTL, clock)


def test_the_same_run_takes_up_its_own_lease_again(authority: LocalRepository, clock: HandClock) -> None:
    first = lease.acquire(authority, KEY, "kim", "backup", TTL, clock, "run-1")
    clock.sleep(5)
    assert lease.acquire(authority, KEY, "kim", "backup", TTL, clock, "run-1").epoch == first.epoch


def test_a_lost_reply_is_no_lost_lease(tmp_path: Path, clock: HandClock) -> None:
    lossy = Lossy("authority", tmp_path / "authority")
    held = lease.acquire(lossy, KEY, "kim", "backup", TTL, clock, "run-1")
    clock.sleep(1)
    held = lease.renew(lossy, held, TTL, clock)
    lease.release(lossy, held, clock)
    assert lease.acquire(lossy, KEY, "lee", "log", TTL, clock, "run-2").epoch > held.epoch


def test_another_authority_goes_on_with_the_epochs(tmp_path: Path, clock: HandClock) -> None:
    one, other = LocalRepository("one", tmp_path / "one"), LocalRepository("other", tmp_path / "other")
    seen = 0
    for authority in (one, one, one, other, other, one):
        held = lease.acquire(authority, KEY, "kim", "backup", TTL, clock, "run-1")
        assert held.epoch > seen
        seen = held.epoch
        lease.release(authority, held, clock)
        clock.sleep(3)
