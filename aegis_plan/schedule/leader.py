"""Which of several schedulers leads: the one that holds the lease of the schedule in the state authority. It knows when
it leads no more, also where the authority only stays silent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from aegis_plan.clock import Clock
from aegis_plan.errors import AegisError, LockedError
from aegis_plan.repositories import keys, lease
from aegis_plan.repositories.contract import Repository
from aegis_plan.repositories.lease import Lease

RENEWALS = 6
"""So often is a lease renewed in its life."""


class Leader:
    """One scheduler's claim to lead. `keep` is called again and again, from one thread."""

    def __init__(
        self, open_authority: Callable[[], Repository], system: str, owner: str, run: str, clock: Clock
    ) -> None:
        """`open_authority` may raise; it is asked again after a failure."""
        self._open, self._owner, self._run, self._clock = open_authority, owner, run, clock
        self._key = keys.lease(system, keys.SYSTEM_ROOM, "schedule")
        self._authority: Repository | None = None
        self._held: Lease | None = None
        self._until = 0.0
        self._asked = float("-inf")
        self.why = ""
        """Why it does not lead, for people."""

    @property
    def epoch(self) -> int:
        return self._held.epoch if self._held is not None else 0

    @property
    def leads(self) -> bool:
        """Whether it may begin something at this moment."""
        return self._held is not None and self._clock.monotonic() < self._until

    def keep(self, ttl: timedelta) -> bool:
        """Takes, renews or finds out that it cannot; returns whether it leads. Asks the authority when it is time."""
        now = self._clock.monotonic()
        every = ttl.total_seconds() / RENEWALS
        if self._held is not None and not self.leads:
            self._held, self.why = None, "the lease could not be renewed in time"
        elif now - self._asked < every:
            return self.leads
        self._asked = now
        try:
            if self._authority is None:
                self._authority = self._open()
            if self._held is not None:
                self._held = lease.renew(self._authority, self._held, ttl, self._clock)
            else:
                self._held = lease.acquire(
                    self._authority, self._key, self._owner, "schedule", ttl, self._clock, self._run
                )
            self._until = now + ttl.total_seconds()
            self.why = ""
        except LockedError as error:
            self._held, self.why = None, self._who() or error.summary
        except AegisError as error:
            # What is held stays held until it runs out. A repository that failed is opened anew.
            self.why = f"{error.summary}: {error.detail}"
            self._drop()
        return self.leads

    def pause(self, ttl: timedelta) -> timedelta:
        """How long nothing needs to be asked of the authority."""
        return ttl / RENEWALS

    def resign(self) -> None:
        """Lets the lease go, so that another takes over at once."""
        if self._held is not None and self._authority is not None:
            try:
                lease.release(self._authority, self._held, self._clock)
            except AegisError as error:
                self.why = error.summary  # it runs out by itself
        self._held = None
        self._drop()

    def _who(self) -> str:
        """Who leads, in words that stay the same while it does."""
        try:
            found = lease.read(self._authority, self._key) if self._authority is not None else None
        except AegisError:
            return ""
        return f"{found[0].owner} on {found[0].host} leads, epoch {found[0].epoch}" if found is not None else ""

    def _drop(self) -> None:
        if self._authority is not None:
            self._authority.close()
            self._authority = None
