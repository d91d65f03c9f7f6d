"""The scheduler: waits for the moments of all schedules and has what is due planned and applied.

The catalog decides what is due. What it remembers only holds it back: from asking twice for one moment, and from
trying at once again what failed. It touches no store and no server by itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from aegis_plan.catalog.due import passed
from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.schedule_record import WELL
from aegis_plan.clock import Clock
from aegis_plan.documents.model import Documents
from aegis_plan.errors import AegisError
from aegis_plan.schedule.job import Standing, Unit, again, due, jitter, standing, units
from aegis_plan.schedule.leader import Leader
from aegis_plan.schedule.round import Ended, Round, Starter

LOOK = timedelta(hours=1)
"""The catalog and the documents are looked at after so long also where nothing is due: others work on both."""
SHORTEST = timedelta(seconds=1)


class Tell(Protocol):
    """Where the scheduler says what it does."""

    def __call__(self, kind: str, message: str, **data: Any) -> None: ...


@dataclass
class _Watch:
    """One store and aspect as this scheduler sees it."""

    wake: datetime
    handled: datetime | None = None
    """The newest moment for which a run ended well."""
    begun_for: datetime | None = None
    failures: int = 0
    round: Round | None = None
    standings: tuple[Standing, ...] = field(default=())


class Scheduler:
    """Lives from the first `turn` to `finish`. All its methods are called from one thread."""

    def __init__(
        self,
        documents: Callable[[], Documents],
        look: Callable[[Documents, Sequence[str]], Mapping[str, Shelf]],
        leader: Leader,
        start: Starter,
        clock: Clock,
        tell: Tell,
        unfinished: Callable[[], Collection[Unit]] = tuple,
    ) -> None:
        """`documents` reads those in force and `look` the catalogs of stores; both may raise, and then what was known
        before stays. `unfinished` names what runs that were killed on this host were for: one is begun that goes on
        with them, also where nothing is due."""
        self._read, self._look, self._leader = documents, look, leader
        self._start, self._clock, self._tell, self._unfinished = start, clock, tell, unfinished
        self._documents: Documents | None = None
        self._looked: datetime | None = None
        self._watched: dict[Unit, _Watch] = {}
        self._led = False
        self._said = ""

    def turn(self) -> datetime:
        """Does what is to do now, and returns when it has to be called again at the latest. Never raises AegisError."""
        now = self._clock.now()
        if self._documents is None:
            self._reread()
        documents = self._documents
        if documents is None:
            return now + timedelta(seconds=30)
        ttl = documents.schedule.lease
        leads = self._leader.keep(ttl)
        self._say_whether(leads)
        self._reap(now)
        soon = now + self._leader.pause(ttl)
        if not leads:
            self._looked = None  # whoever led meanwhile changed the catalog
            return soon
        if self._looked is None or now - self._looked >= LOOK or now < self._looked:
            self._reread()
            documents = self._documents or documents
            self._view(documents, (), now)
        ready = [unit for unit, one in self._watched.items() if one.wake <= now and self._free(documents, unit)]
        if ready:
            self._reread()
            documents = self._documents or documents
            self._view(documents, list(dict.fromkeys(store for store, _ in ready)), now)
            for unit in ready:
                self._attend(documents, unit, now)
        waits = [one.wake for unit, one in self._watched.items() if self._free(documents, unit)]
        if any(one.round is not None for one in self._watched.values()):
            waits.append(now + SHORTEST)
        return max(min([soon, *waits]), now + SHORTEST / 20)

    @property
    def working(self) -> list[Unit]:
        """Stores and aspects with a run under way."""
        return [unit for unit, one in self._watched.items() if one.round is not None]

    def stop(self, at_once: bool = False) -> None:
        """Asks all that is under way to come to a safe stop."""
        for one in self._watched.values():
            if one.round is not None:
                one.round.stop(at_once)

    def finish(self) -> bool:
        """Whether all that was under way has ended; then the lease is let go. Call it again until it has."""
        self._reap(self._clock.now())
        if self.working:
            if self._documents is not None:
                self._leader.keep(self._documents.schedule.lease)
            return False
        self._leader.resign()
        return True

    def _reread(self) -> None:
        try:
            self._documents = self._read()
        except AegisError as error:
            why = f"{error.summary}: {error.detail}"
            self._tell(
                "documents-unreadable", f"the documents cannot be read, {self._meanwhile()}: {why}", code=error.code
            )

    def _meanwhile(self) -> str:
        return "and nothing is begun" if self._documents is None else "and those known before are used"

    def _say_whether(self, leads: bool) -> None:
        said = "leads" if leads else self._leader.why
        if leads and not self._led:
            self._tell("leading", f"leads, epoch {self._leader.epoch}", epoch=self._leader.epoch)
        elif not leads and said != self._said:
            self._tell("standing-by", f"stands by: {said}", why=said)
        self._led, self._said = leads, said

    def _view(self, documents: Documents, stores: Sequence[str], now: datetime) -> None:
        """Reads the catalogs of the stores, or of all, and puts down how their jobs stand."""
        if not stores:
            self._looked = now
        names = [name for name in (stores or documents.stores) if name in documents.stores]
        try:
            shelves = self._look(documents, names)
        except AegisError as error:
            self._tell("catalog-unreadable", f"the catalog cannot be read: {error.summary}", code=error.code)
            shelves = {}
        found = standing(documents, shelves, now, names)
        kept = set(units(found))
        for unit in kept - set(self._watched):
            self._watched[unit] = _Watch(wake=now)
        for unit, one in list(self._watched.items()):
            if unit in kept:
                one.standings = tuple(each for each in found if each.job.unit == unit)
            elif one.round is None and (not stores or unit[0] in stores):
                del self._watched[unit]  # it is no longer declared

    def _attend(self, documents: Documents, unit: Unit, now: datetime) -> None:
        """Begins what is due, or puts down when to look again."""
        one = self._watched.get(unit)
        if one is None:
            return
        nexts = [each.next for each in one.standings if each.next is not None]
        one.wake = min(nexts, default=now + LOOK)
        pending = [each for each in due(one.standings, unit) if self._unhandled(each, one, now)]
        if not pending:
            if unit in self._unfinished() and self._leader.leads:
                self._tell("unfinished", f"{'/'.join(unit)}: a run was killed", store=unit[0], aspect=unit[1])
                one.begun_for, one.round = one.handled, self._start(unit)
            return
        begins = min(_begins(documents, each, now) for each in pending)
        if begins > now:
            one.wake = min(one.wake, begins)
            return
        if not self._free(documents, unit) or not self._leader.leads:
            one.wake = now
            return
        one.begun_for = max((each.moments[-1] for each in pending if each.moments), default=now)
        missed = max(each.missed for each in pending)
        self._tell(
            "due",
            f"{'/'.join(unit)} is due: {', '.join(each.job.kind for each in pending)}"
            + (f"; {missed} earlier missed" if missed else ""),
            store=unit[0],
            aspect=unit[1],
            kinds=[each.job.kind for each in pending],
            missed=missed,
        )
        one.round = self._start(unit)

    def _free(self, documents: Documents, unit: Unit) -> bool:
        """Whether nothing works on it, and a place is left for one of its kind."""
        if self._watched[unit].round is not None:
            return False
        same = [other for other in self.working if other[1] == unit[1]]
        return len(same) < documents.schedule.parallel

    def _unhandled(self, each: Standing, one: _Watch, now: datetime) -> bool:
        if one.handled is None:
            return True
        if each.moments:
            return each.moments[-1] > one.handled
        # Never done: asked for once a moment, like all else.
        return bool(passed(each.job.schedule, each.job.timezone, one.handled, now))

    def _reap(self, now: datetime) -> None:
        for unit, one in self._watched.items():
            if one.round is None or (ended := one.round.ended()) is None:
                continue
            one.round = None
            self._tell(
                "round-ended",
                f"{'/'.join(unit)}: {ended.verdict}{f', run {ended.run}' if ended.run else ''}"
                + (f": {ended.why}" if ended.why else ""),
                store=unit[0],
                aspect=unit[1],
                verdict=ended.verdict,
                run=ended.run,
                why=ended.why,
            )
            self._judge(one, ended, now)

    def _judge(self, one: _Watch, ended: Ended, now: datetime) -> None:
        if ended.verdict in WELL:
            one.failures, one.handled, one.wake = 0, one.begun_for, now
            return
        one.failures += 1
        # A job that comes often is not held up by an earlier failure.
        one.wake = now + again(one.failures)
        nexts = [each.next for each in one.standings if each.next is not None and each.next > now]
        one.wake = min([one.wake, *nexts])


def _begins(documents: Documents, each: Standing, now: datetime) -> datetime:
    """When it may begin: at once where it is late, otherwise after its jitter."""
    if len(each.moments) != 1:
        return now
    return each.moments[-1] + jitter(documents, each.job, each.moments[-1] - timedelta(microseconds=1))
