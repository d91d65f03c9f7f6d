"""The leases of one run: taken before its first step, renewed from a thread that slow steps cannot hold up, let go as
soon as nothing needs them. It finds out that a lease is lost or wanted; what follows is the executor's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime

from aegis_plan.clock import Clock
from aegis_plan.errors import AegisError, LockedError, UnavailableError
from aegis_plan.journal.replay import RunState
from aegis_plan.plan.plan import Plan
from aegis_plan.repositories import keys, lease
from aegis_plan.repositories.contract import Repository
from aegis_plan.repositories.lease import Lease, Purpose

YIELD_SECONDS = 180.0
"""How long a recovery waits for those whom it asked to stop: their lease has run out by then even if they are dead."""
_PAUSE = 0.2
_PATIENCE = 5.0
"""Seconds that a renewal under way is waited for at the end."""


def purpose(plan: Plan, name: str) -> Purpose:
    """What a run needs a lease for."""
    if plan.intent.kind in ("recover", "restore"):
        return "recovery"
    if plan.intent.kind in ("prune", "hold"):
        return "prune"
    return "log" if name.endswith("/log") else "backup"


def needed(plan: Plan, state: RunState) -> set[str]:
    """Leases of what is left to do or to take back."""
    back = {name for order in state.rollbacks.values() for name in order}
    left = set()
    for step in plan.steps:
        mine = state.step(step.id)
        if step.lease and (not mine.settled or (step.id in back and mine.state not in ("undone", "undo-failed"))):
            left.add(step.lease)
    return left


def unneeded(plan: Plan, state: RunState) -> set[str]:
    """Leases of the plan that nothing needs any more."""
    return {step.lease for step in plan.steps if step.lease} - needed(plan, state)


class Leases:
    """Held leases by name (`<store>/<aspect>`). Without an authority it holds nothing and every epoch is 0."""

    def __init__(self, authority: Repository | None, plan: Plan, owner: str, run: str, clock: Clock) -> None:
        self._authority, self._plan, self._owner, self._run, self._clock = authority, plan, owner, run, clock
        self._ttl, self._every = lease.default_ttl(), lease.renew_every().total_seconds()
        self._guard = threading.Lock()
        self._held: dict[str, Lease] = {}
        self._until: dict[str, float] = {}
        self._lost: dict[str, AegisError] = {}
        self._wanted = ""
        self._others: datetime | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def take(
        self,
        names: Iterable[str],
        timeout: float,
        above: dict[str, int],
        waiting: Callable[[str, AegisError], None],
        stopped: Callable[[], bool],
    ) -> dict[str, int]:
        """Takes the leases that are not held yet, in the order of their names, each under a higher epoch than
        `above` says; returns name to epoch. A recovery asks lower purposes to stop and waits for them; others wait
        `timeout` seconds.

        Raises LockedError `lease-held`; then none that this call took is kept."""
        taken: dict[str, int] = {}
        if self._authority is None:
            return taken
        try:
            for name in sorted(set(names) - set(self._held)):
                taken[name] = self._take(self._authority, name, timeout, above.get(name, 0), waiting, stopped)
        except BaseException:
            for name in taken:
                self.release(name)
            raise
        return taken

    def epoch(self, name: str) -> int:
        """The epoch of a held lease; 0 for none."""
        with self._guard:
            found = self._held.get(name)
        return found.epoch if found else 0

    @property
    def others(self) -> datetime | None:
        """When another run last had one of the leases that were taken here, as its own clock said."""
        return self._others

    def held(self) -> list[str]:
        """Names of the held leases."""
        with self._guard:
            return sorted(self._held)

    def lost(self) -> tuple[str, AegisError] | None:
        """A lease that was lost, and how. One that was not renewed in time is, also when the authority only hangs: to
        others it is free by now."""
        now = self._clock.monotonic()
        with self._guard:
            for name, until in self._until.items():
                if now >= until and name not in self._lost:
                    self._lost[name] = _late(name)
            return next(iter(self._lost.items()), None)

    def wanted(self) -> str:
        """Who asks this run to stop, or nothing."""
        with self._guard:
            return self._wanted

    def release(self, name: str) -> None:
        """Lets go of one lease. What cannot be let go of now runs out by itself."""
        with self._guard:
            found = self._held.pop(name, None)
            until = self._until.pop(name, 0.0)
            gone = name in self._lost or self._clock.monotonic() >= until
        if found is None or self._authority is None or gone:
            return
        try:
            lease.release(self._authority, found, self._clock)
        except AegisError:
            # The authority is away: the lease ends when nobody renews it, which is what a lease is for.
            return

    def leave(self, names: Iterable[str]) -> None:
        """Lets go of what an earlier life of this run was killed with and nothing needs any more."""
        if self._authority is None:
            return
        for name in names:
            store, _, aspect = name.rpartition("/")
            key = keys.lease(self._plan.system, store, aspect)
            try:
                found = lease.read(self._authority, key)
                if found is None or found[0].run != self._run or found[0].free(self._clock.now()):
                    continue
                mine = lease.acquire(
                    self._authority, key, self._owner, purpose(self._plan, name), self._ttl, self._clock, self._run
                )
                lease.release(self._authority, mine, self._clock)
            except AegisError:
                continue  # it runs out by itself

    def close(self) -> None:
        """Ends the renewing and lets go of everything."""
        self._end.set()
        if self._thread is not None:
            # An authority that hangs must not hold up the end as well.
            self._thread.join(_PATIENCE)
        for name in self.held():
            self.release(name)

    def _take(
        self,
        authority: Repository,
        name: str,
        timeout: float,
        above: int,
        waiting: Callable[[str, AegisError], None],
        stopped: Callable[[], bool],
    ) -> int:
        store, _, aspect = name.rpartition("/")
        key = keys.lease(self._plan.system, store, aspect)
        what = purpose(self._plan, name)
        begin, limit, told = self._clock.monotonic(), timeout, False
        while True:
            before = self._clock.monotonic()
            try:
                found = lease.acquire(authority, key, self._owner, what, self._ttl, self._clock, self._run)
                if found.epoch <= above:
                    # Still ours from a life that was killed: only a new epoch keeps that life's attempts out.
                    lease.release(authority, found, self._clock)
                    found = lease.acquire(authority, key, self._owner, what, self._ttl, self._clock, self._run)
                break
            except LockedError as error:
                if self._asked(authority, key, what):
                    limit = max(timeout, YIELD_SECONDS)
                if stopped() or self._clock.monotonic() - begin >= limit:
                    raise
                if not told:
                    waiting(name, error)
                    told = True
            self._clock.sleep(_PAUSE)
        with self._guard:
            self._held[name] = found
            self._until[name] = before + self._ttl.total_seconds()
        if found.before is not None:
            self._others = max(found.before.renewed, self._others or found.before.renewed)
        if self._thread is None:
            self._thread = threading.Thread(target=self._renew, name="lease-renewal", daemon=True)
            self._thread.start()
        return found.epoch

    def _asked(self, authority: Repository, key: str, what: Purpose) -> bool:
        if what != "recovery":
            return False
        try:
            return lease.ask_to_stop(authority, key, what, self._run, self._clock) is not None
        except LockedError:
            return False

    def _renew(self) -> None:
        assert self._authority is not None
        while not self._end.wait(self._every):
            with self._guard:
                held = list(self._held.items())
            for name, mine in held:
                before = self._clock.monotonic()
                try:
                    found = lease.renew(self._authority, mine, self._ttl, self._clock)
                except UnavailableError as error:
                    with self._guard:
                        if before >= self._until.get(name, before + 1):
                            self._lost[name] = error
                    continue
                except AegisError as error:
                    with self._guard:
                        if name in self._held:
                            self._lost[name] = error
                    continue
                with self._guard:
                    if name in self._held and name not in self._lost:
                        self._held[name] = found
                        self._until[name] = before + self._ttl.total_seconds()
                        self._wanted = found.state.stop_asked_by or self._wanted


def _late(name: str) -> AegisError:
    return LockedError(
        "lease-lost",
        "the lease was lost",
        f"{name} could not be renewed in time; the authority does not answer",
        "see that the authority can be reached, then resume",
    )
