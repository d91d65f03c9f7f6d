"""Leases: who may change a store now, held as one conditional object in the state authority.

Whoever lost a lease finds out at the next renewal and must stop; nothing here ends anybody's work by itself.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from aegis_plan.clock import Clock
from aegis_plan.errors import AegisError, DamageError, LockedError, UnavailableError, UsageError
from aegis_plan.repositories.contract import Repository
from aegis_plan.sealing.canonical import canonical

Purpose = Literal["recovery", "log", "backup", "prune", "drill", "schedule"]
RANK: dict[Purpose, int] = {"recovery": 4, "log": 3, "backup": 2, "prune": 1, "drill": 1, "schedule": 1}
"""A higher purpose may ask a lower one to stop."""


class State(BaseModel):
    """The lease object as it lies in the authority."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: str
    host: str
    run: str
    purpose: Purpose
    epoch: int
    acquired: AwareDatetime
    renewed: AwareDatetime
    expires: AwareDatetime
    """Not later than `renewed` when it was released."""
    stop_asked_by: str | None = None
    """`<purpose> <run>` of whoever waits for it."""

    def free(self, now: datetime) -> bool:
        """Whether anybody may take it."""
        return self.expires <= now


@dataclass(frozen=True)
class Lease:
    """A held lease: its state, and the tag under which it can be changed."""

    key: str
    state: State
    tag: str
    before: State | None = None
    """Who had it before it was taken, where that was not its own run."""

    @property
    def epoch(self) -> int:
        return self.state.epoch


def default_ttl() -> timedelta:
    """60 seconds, or what AEGIS_LEASE_SECONDS says.

    Raises UsageError `environment-invalid` for what would keep nobody away."""
    text = os.environ.get("AEGIS_LEASE_SECONDS", "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1.0 <= seconds <= 86_400.0:
        raise UsageError(
            "environment-invalid",
            "an environment variable makes no sense",
            f"AEGIS_LEASE_SECONDS is '{text}'",
            "give a number of seconds from 1 to 86400, or leave it away",
        )
    return timedelta(seconds=seconds)


def renew_every() -> timedelta:
    """How often a lease is renewed: six times in its life."""
    return default_ttl() / 6


def read(repository: Repository, key: str) -> tuple[State, str] | None:
    """The lease and its tag, whether held or not, or None when nobody ever held it.

    Raises DamageError `lease-unreadable`."""
    found = repository.read_tagged(key)
    if found is None:
        return None
    try:
        return State.model_validate_json(found[0]), found[1]
    except ValidationError:
        raise DamageError(
            "lease-unreadable",
            "a lease cannot be read",
            f"{repository.name}: {key}",
            "see who wrote it; `aegis unlock` replaces it",
        ) from None


def acquire(
    repository: Repository, key: str, owner: str, purpose: Purpose, ttl: timedelta, clock: Clock, run: str
) -> Lease:
    """Takes the lease if it is free, expired, or this run's own already; its epoch is then above all earlier ones,
    those of another authority included.

    Raises LockedError `lease-held` naming owner, purpose and age."""
    found = read(repository, key)
    now = clock.now()
    if found is not None:
        state, tag = found
        if not state.free(now):
            if (state.run, state.owner, state.host) == (run, owner, socket.gethostname()):
                return renew(repository, Lease(key, state, tag), ttl, clock)
            raise held(key, state, now)
    state = State(
        owner=owner,
        host=socket.gethostname(),
        run=run,
        purpose=purpose,
        # Not counted from 1: sites remember epochs, and would refuse for long what a new authority hands out.
        epoch=max(int(now.timestamp()), found[0].epoch + 1 if found else 1),
        acquired=now,
        renewed=now,
        expires=now + ttl,
    )
    try:
        taken = _write(repository, key, found[1] if found else None, state)
        return replace(taken, before=found[0]) if found is not None and found[0].run != run else taken
    except LockedError:
        winner = read(repository, key)
        if winner is None:
            raise
        raise held(key, winner[0], clock.now()) from None


def renew(repository: Repository, lease: Lease, ttl: timedelta, clock: Clock) -> Lease:
    """Extends a held lease; the returned one shows in `state.stop_asked_by` whether somebody wants it.

    Raises LockedError `lease-lost` when another has it, or it was let go, or it expired and was taken."""
    state, tag = _mine(repository, lease)
    now = clock.now()
    try:
        return _write(repository, lease.key, tag, state.model_copy(update={"renewed": now, "expires": now + ttl}))
    except LockedError:
        # Somebody asked us to stop between reading and writing; that is no loss.
        state, tag = _mine(repository, lease)
        return _write(repository, lease.key, tag, state.model_copy(update={"renewed": now, "expires": now + ttl}))


def release(repository: Repository, lease: Lease, clock: Clock) -> None:
    """Lets go; the epoch stays. Success when it was lost or let go already."""
    for _ in range(3):
        try:
            state, tag = _mine(repository, lease)
        except LockedError:
            return
        now = clock.now()
        try:
            _write(repository, lease.key, tag, state.model_copy(update={"renewed": now, "expires": now}))
        except LockedError:
            continue
        return


def clear(repository: Repository, key: str, owner: str, clock: Clock) -> None:
    """Puts a free lease where one lies that cannot be read; its epoch is above all earlier ones.

    Raises LockedError `lease-moved` when somebody else was quicker."""
    found = repository.read_tagged(key)
    now = clock.now()
    free = State(
        owner=owner,
        host=socket.gethostname(),
        run="",
        purpose="prune",
        epoch=int(now.timestamp()),
        acquired=now,
        renewed=now,
        expires=now,
    )
    _write(repository, key, found[1] if found else None, free)


def ask_to_stop(repository: Repository, key: str, purpose: Purpose, run: str, clock: Clock) -> State | None:
    """Writes into a held lease of lower rank that this run wants it; returns the lease asked, None when it is free.

    Raises LockedError `lease-held` when the holder ranks as high or higher."""
    for _ in range(5):
        found = read(repository, key)
        now = clock.now()
        if found is None or found[0].free(now):
            return None
        state, tag = found
        if RANK[state.purpose] >= RANK[purpose]:
            raise held(key, state, now)
        if state.stop_asked_by is not None:
            return state
        try:
            return _write(repository, key, tag, state.model_copy(update={"stop_asked_by": f"{purpose} {run}"})).state
        except LockedError:
            continue
    raise LockedError("lease-moved", "somebody else changed the object first", key, "try again")


def held(key: str, state: State, now: datetime) -> LockedError:
    """The error that names who holds a lease, for what and since when."""
    aspect = key.rpartition("/")[2].removesuffix(".json")
    age = max(0, round((now - state.acquired).total_seconds()))
    quiet = max(0, round((now - state.renewed).total_seconds()))
    return LockedError(
        "lease-held",
        "another run holds the lease",
        f"{aspect} is held by {state.owner} on {state.host} for {state.purpose} (run {state.run}) since {age} s, "
        f"last renewed {quiet} s ago",
        "wait, cancel that run, or, when it is surely dead, let the lease expire",
    )


def _mine(repository: Repository, lease: Lease) -> tuple[State, str]:
    found = read(repository, lease.key)
    if found is None or found[0].epoch != lease.state.epoch or found[0].run != lease.state.run:
        who = f"; {found[0].owner} has it for {found[0].purpose}" if found else ""
        raise LockedError(
            "lease-lost",
            "the lease was lost",
            f"{lease.key}: epoch {lease.state.epoch} is over{who}",
            "this run must not go on; look at the other run, then resume",
        )
    state = found[0]
    if state.expires <= state.renewed:
        raise LockedError("lease-lost", "the lease was lost", f"{lease.key}: it was let go", "acquire it again")
    return found


def _write(repository: Repository, key: str, expected: str | None, state: State) -> Lease:
    data = canonical(state.model_dump(mode="json"))
    try:
        return Lease(key, state, repository.compare_and_set(key, expected, data))
    except (LockedError, UnavailableError):
        # The reply may have been lost after the write took place: our own bytes there are success.
        try:
            found = repository.read_tagged(key)
        except AegisError:
            found = None
        if found is not None and found[0] == data:
            return Lease(key, state, found[1])
        raise


def asked_to_stop(lease: Lease) -> str | None:
    """Who wants this lease, if anybody."""
    return lease.state.stop_asked_by
