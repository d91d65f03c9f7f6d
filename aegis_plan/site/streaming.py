"""One log stream that the daemon keeps running: it holds the store's `log` lease, streams, and begins again after a
failure. It never decides to skip."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any

from aegis_plan.actions.contract import StopAsked
from aegis_plan.clock import Clock
from aegis_plan.dispatch.contract import Attempt, Mark, Progress
from aegis_plan.errors import AegisError, LockedError
from aegis_plan.repositories import keys as layout
from aegis_plan.repositories import lease as leases
from aegis_plan.repositories.contract import Repository
from aegis_plan.site.context import Opened, SiteContext, Stop
from aegis_plan.site.secrets import Resolver
from aegis_plan.site.sitefile import SiteFile

BACKOFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
YIELD_SECONDS = 5.0
"""After somebody who asked for the lease let it go."""


def _readers(entry: dict[str, Any]) -> list[str]:
    """To whom the stream seals: recipients that were changed since show by it."""
    from aegis_plan.documents.model import Sealing
    from aegis_plan.documents.recipients import recipients_of

    try:
        return list(recipients_of(Sealing.model_validate(entry["declared"]["sealing"]))[1])
    except (KeyError, TypeError, ValueError):
        return []


class _StreamContext(SiteContext):
    """Marks of a stream are what it tells about itself; they are kept nowhere."""

    told: dict[str, Any]

    def mark(self, name: str, **data: Any) -> None:
        self.own_marks = [Mark(name=name, data=data, at=self.clock.now())]
        self.told.update(data)


class Stream:
    """Runs in a thread of its own from `start` to `end`."""

    def __init__(self, store: str, entry: dict[str, Any], file: SiteFile, clock: Clock, secrets: Resolver) -> None:
        self.store, self.entry = store, entry
        self.status: dict[str, Any] = {
            "state": "starting",
            "run": entry.get("run", ""),
            "error": "",
            "readers": _readers(entry),
        }
        self._file, self._clock, self._secrets = file, clock, secrets
        self._opened = Opened(secrets, file.folder)
        self._over = threading.Event()
        self._stop: Stop | None = None
        self._thread = threading.Thread(target=self._keep, name=f"stream {store}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask(self) -> None:
        self._over.set()
        if self._stop is not None:
            self._stop.ask("the daemon ends the stream")

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _keep(self) -> None:
        tries = 0
        while not self._over.is_set():
            begun = self._clock.monotonic()
            try:
                self._once()
                pause = YIELD_SECONDS
            except LockedError as error:
                self._say("waiting", error)
                pause = YIELD_SECONDS
            except AegisError as error:
                self._say("failed", error)
                tries = 0 if self._clock.monotonic() - begun > 60 else tries
                pause = BACKOFF_SECONDS[min(tries, len(BACKOFF_SECONDS) - 1)]
                tries += 1
            except Exception as error:  # noqa: BLE001 - a bug in one stream must not end the others
                self.status |= {"state": "failed", "error": f"action-crashed: {type(error).__name__}"}
                pause = BACKOFF_SECONDS[-1]
            self._over.wait(pause)
        self._opened.close()

    def _say(self, state: str, error: AegisError) -> None:
        self.status |= {"state": state, "error": self._secrets.redact(f"{error.code}: {error.detail}")}

    def _once(self) -> None:
        """Streams until it is told to stop or somebody asks for the lease. Raises what the stream raises."""
        from aegis_plan.stores.drivers import driver

        stop = Stop(self._clock)
        self._stop = stop
        if self._over.is_set():
            return
        context = self._context(stop)
        if self.store not in context.declared.stores:
            raise AegisError("stream-undeclared", "a stream came without its store", self.store, "apply a plan again")
        engine = context.declared.stores[self.store].engine
        run = getattr(driver(engine), "stream", None)
        if run is None:
            raise AegisError("stream-unsupported", "this kind of store has no log stream", f"{self.store}: {engine}")
        authority = self._authority(context)
        if authority is None:
            self._run(run, context)
            return
        key = layout.lease(context.declared.system.name, self.store, "log")
        self._wait_free(authority, key)
        ttl = leases.default_ttl()
        held = leases.acquire(
            authority, key, f"daemon {self._file.site}", "log", ttl, self._clock, str(self.entry["run"])
        )
        done = threading.Event()
        keeper = threading.Thread(target=self._renew, args=(authority, held, ttl, stop, done), daemon=True)
        keeper.start()
        try:
            self._run(run, context)
        finally:
            done.set()
            keeper.join()
            with suppress(AegisError):  # an unreachable authority lets the lease expire by itself
                leases.release(authority, held, self._clock)

    def _run(self, run: Any, context: _StreamContext) -> None:
        with suppress(StopAsked):
            run(context, self.entry["params"])
        self.status |= {"state": "stopped"}

    def _wait_free(self, authority: Repository, key: str) -> None:
        found = leases.read(authority, key)
        if found is not None and not found[0].free(self._clock.now()) and found[0].run != self.entry["run"]:
            raise leases.held(key, found[0], self._clock.now())

    def _renew(
        self, authority: Repository, held: leases.Lease, ttl: timedelta, stop: Stop, done: threading.Event
    ) -> None:
        last = self._clock.monotonic()
        while not done.wait(leases.renew_every().total_seconds()):
            try:
                held = leases.renew(authority, held, ttl, self._clock)
                last = self._clock.monotonic()
                if leases.asked_to_stop(held):
                    stop.ask(f"asked by {leases.asked_to_stop(held)}")
            except LockedError:
                stop.ask("the lease was lost")
            except AegisError:
                # Not yet lost: it is ours until it expires, and no longer.
                if self._clock.monotonic() - last > ttl.total_seconds() * 0.8:
                    stop.ask("the lease could not be renewed")

    def _authority(self, context: _StreamContext) -> Repository | None:
        """Where the lease lies: the declared authority, else the only repository."""
        declared = context.declared
        if declared.state is not None and declared.state.authority in declared.repositories:
            return context.repositories[declared.state.authority]
        return context.repositories[next(iter(declared.repositories))] if len(declared.repositories) == 1 else None

    def _context(self, stop: Stop) -> _StreamContext:
        attempt = Attempt(
            run=str(self.entry.get("run", "")), step=f"{self.store}.stream", verb="act", number=1, epoch=0,
            site=self._file.site, resource="", action="log-stream", params=self.entry["params"],
            declared=self.entry["declared"], start_by=self._clock.now(), timeout=float("1e12"),
        )  # fmt: skip
        context = _StreamContext(attempt, self._file, self._clock, self._secrets, self._opened, stop, self._tell)
        context.told = self.status
        return context

    def _tell(self, told: Progress) -> None:
        # A stream tells `streaming <position> <time until which it is covered>`.
        words = told.phase.split()
        if words[:1] == ["streaming"] and len(words) == 3:
            self.status |= {"state": "streaming", "error": "", "position": words[1], "covers_until": words[2]}
