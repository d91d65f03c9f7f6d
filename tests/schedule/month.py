"""A system with a simulated clock. Schedulers, catalogs, seals, repositories and all decisions are the product's own.
Only the servers are played, and what they give away are a few bytes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from aegis_plan.actions.registry import find
from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.schedule_record import ScheduleRecord
from aegis_plan.cli.due import run_due
from aegis_plan.cli.session import Session
from aegis_plan.cli.wire import World, load_documents, open_site
from aegis_plan.dispatch.contract import Attempt, Mark
from aegis_plan.documents.model import Documents
from aegis_plan.errors import AegisError
from aegis_plan.observe.look import shelves
from aegis_plan.observe.rooms import rooms
from aegis_plan.observe.snapshot import MemberLook, SiteLook, Snapshot, StoreLook, store_facts
from aegis_plan.plan.plan import Plan
from aegis_plan.repositories import keys, schedule_history
from aegis_plan.repositories.contract import Repository
from aegis_plan.run.result import Result
from aegis_plan.schedule.job import Unit
from aegis_plan.schedule.leader import Leader
from aegis_plan.schedule.round import Ended, Over, Round
from aegis_plan.schedule.scheduler import Scheduler
from aegis_plan.site.context import Opened, SiteContext, Stop
from aegis_plan.stores.postgresql.log import Archive
from aegis_plan.stores.postgresql.positions import SEGMENT, parse
from tests.plan.world import LINEAGE, RUNNING, lsn

DOCUMENTS = """\
aegis: v1
system: {name: aegis, timezone: Europe/Berlin, objectives: {rto: 4h}}
state: {authority: here}
sites:
  seoul: {file: ../site/seoul.yaml}
stores:
  policy-db:
    engine: postgresql
    members: {seoul-1: {site: seoul, connection: "${env:DB}", server: {data_directory: /srv/pg, binaries: /srv/bin}}}
    backup:
      repositories: [here, there]
      full: {schedule: "0 2 * * 0", retain: 4 weeks}
      incremental: {schedule: "0 2 * * 1-6", retain: 1 week}
      log: {schedule: "*/15 * * * *", retain: 3 days}
  policy-graph:
    engine: neo4j
    members: {seoul-1: {site: seoul, connection: "bolt://127.0.0.1:7687", server: {home: /srv/neo4j}}}
    backup: {repositories: [here, there], full: {schedule: "0 3 * * *", retain: 7 days}}
  policy-vectors:
    engine: milvus
    members: {seoul-1: {site: seoul, connection: "http://127.0.0.1:19530"}}
    backup: {repositories: [here, there], full: {schedule: "0 4 * * *", retain: 7 days}}
repositories:
  here: {kind: local, site: seoul, path: ../here}
  there: {kind: local, site: seoul, path: ../there}
schedule: {lease: 1h}
"""


class KilledError(BaseException):
    """The scheduler's process was killed at this very place."""


@dataclass
class SimulatedClock:
    """Time that passes when it is told to."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Server:
    """The servers as they are played."""

    clock: SimulatedClock
    begin: datetime
    busy: Callable[[datetime], bool]
    slot: bool = False
    flush: int = 0x1000000
    last: datetime | None = None
    kill: set[datetime] = field(default_factory=set)
    """Moments after which the next backup is killed before its record is written."""

    def written(self) -> int:
        """Where the log ends now; it grows by the minute while people work."""
        minute = self.clock.now().replace(second=0, microsecond=0)
        if self.last is None or minute > self.last:
            if self.busy(minute):
                self.flush += 4096
            self.last = minute
        return self.flush

    def checkpoint(self) -> int:
        """Where a backup begins: PostgreSQL ends the segment before, unless nothing is in it, and writes of itself."""
        begin = self.switch()
        self.flush += 4096
        return begin

    def switch(self) -> int:
        """Ends the segment, as PostgreSQL does at the end of a backup too."""
        self.flush = -(-self.written() // SEGMENT) * SEGMENT
        return self.flush

    def member(self, engine: str) -> MemberLook:
        if engine != "postgresql":
            return MemberLook(member="seoul-1", site="seoul", state="primary", lineage=f"{engine}-1", details={})
        slot = {**RUNNING["slot"], "restart_lsn": lsn(0x1000000)} if self.slot else None
        details = {**RUNNING, "flush_lsn": lsn(self.written()), "slot": slot}
        return MemberLook(member="seoul-1", site="seoul", state="primary", lineage=LINEAGE, details=details)


class _Source:
    """A few bytes of any store."""

    expected = 0

    def __init__(self, server: Server, engine: str, params: Mapping[str, Any]) -> None:
        self.server, self.engine, self.params = server, engine, params
        self.method = params.get("method", "full")
        self.begun = server.clock.now()
        self.log = engine == "postgresql"
        self.position = server.checkpoint() if self.log else 0

    def archives(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        yield "base", iter([random.Random(self.begun.timestamp()).randbytes(300)])
        self.server.clock.sleep(40)
        if kill := {moment for moment in self.server.kill if moment <= self.begun}:
            self.server.kill -= kill
            raise KilledError

    def members(self) -> list[list[Any]]:
        return []

    def close(self) -> None:
        """Nothing is open."""

    def finish(self) -> dict[str, Any]:
        now = self.server.clock.now()
        end = self.server.written()
        if self.log:
            self.server.switch()
        return {
            "method": self.method,
            "parent": self.params.get("parent"),
            "begun": self.begun,
            "begin": f"1/{lsn(self.position)}" if self.log else "0",
            "end": f"1/{lsn(end)}" if self.log else "0",
            "not_before": now,
            "not_after": now,
            "details": {},
        }


@dataclass
class _Driver:
    server: Server
    engine: str

    def source(self, _context: SiteContext, params: Mapping[str, Any]) -> _Source:
        return _Source(self.server, self.engine, params)

    def actions(self) -> dict[str, Any]:
        return {}


class _Context(SiteContext):
    """Keeps marks nowhere: nobody asks for them again."""

    def mark(self, name: str, **data: Any) -> None:
        self.own_marks.append(Mark(name=name, data=data, at=self.clock.now()))


class PlayedWorld(World):
    """The product's world, with played servers and the simulated clock."""

    def __init__(self, month: Month) -> None:
        super().__init__(month.documents, month.digest)
        self.clock = month.clock  # type: ignore[assignment]  # another clock, which is the point
        self.month = month

    def observe(self, stores: tuple[str, ...] | None = None, *_: Any, **__: Any) -> Snapshot:
        month = self.month
        found = {}
        facts: dict[str, Any] = {}
        for name in stores or tuple(month.documents.stores):
            engine = month.documents.stores[name].engine
            found[name] = StoreLook(store=name, members=(month.server.member(engine),), shelf=month.shelf(name))
            facts |= store_facts(found[name])
        sites = {"seoul": SiteLook(site="seoul", reachable=True, host="h")}
        around = rooms(
            month.documents.system.name, month.repositories, month.clock.now(), month.documents.schedule.history
        )
        return Snapshot(taken_at=month.clock.now(), sites=sites, stores=found, rooms=around, facts=facts)

    def close(self) -> None:
        """The repositories stay open over the month."""


class Month:
    """One system below `folder`, and the schedulers of its sites."""

    def __init__(self, folder: Path, begin: datetime, busy: Callable[[datetime], bool]) -> None:
        self.folder, self.begin = folder, begin
        self.clock = SimulatedClock(begin)
        self.server = Server(self.clock, begin, busy)
        loaded = load_documents(folder / "plans")
        self.documents, self.digest = loaded.documents, loaded.digest
        self.here = open_site(folder / "site" / "seoul.yaml")
        self.world = PlayedWorld(self)
        self.opened = Opened(self.here.secrets, self.here.folder)
        self.shelves: dict[str, Shelf] = {}
        self.earlier: dict[str, Shelf] = {}
        """Kept, so that records which were verified are not verified again."""
        self.told: list[tuple[datetime, str, str, dict[str, Any]]] = []
        self.schedulers: dict[str, tuple[Scheduler, datetime]] = {}
        self.runs = 0

    @property
    def repositories(self) -> Mapping[str, Repository | AegisError]:
        return self.world.repositories

    def shelf(self, store: str) -> Shelf:
        """What the repositories say, read again after each run."""
        if store not in self.shelves:
            signers = self.documents.sealing.believed if self.documents.sealing else {}
            found = shelves(self.documents, [store], self.repositories, signers, self.here.folder, {}, frozenset())
            self.shelves |= found
        return self.shelves[store]

    # Schedulers

    def add(self, site: str) -> None:
        def tell(kind: str, message: str, **data: Any) -> None:
            self.told.append((self.clock.now(), kind, f"{site}: {message}", data))

        def look(_documents: Documents, stores: Sequence[str]) -> dict[str, Shelf]:
            return {name: self.shelf(name) for name in stores}

        def authority() -> Repository:
            return _LeftOpen(self.world.authority())

        leader = Leader(authority, "aegis", f"scheduler {site}", site, self.clock)
        made = Scheduler(lambda: self.documents, look, leader, self._start, self.clock, tell)
        self.schedulers[site] = (made, self.clock.now())

    def run_until(self, end: datetime) -> None:
        """Lets time pass, turning each scheduler when it asked to be."""
        while self.schedulers:
            site = min(self.schedulers, key=lambda name: self.schedulers[name][1])
            scheduler, when = self.schedulers[site]
            if when >= end:
                self.clock.at = max(self.clock.at, end)
                return
            self.clock.at = max(self.clock.at, when)
            try:
                self.schedulers[site] = (scheduler, scheduler.turn())
            except KilledError:
                self.told.append((self.clock.now(), "killed", site, {}))
                del self.schedulers[site]

    def _start(self, unit: Unit) -> Round:
        code = run_due(Session(), lambda: self.world, [unit[0]], [unit[1]], "scheduler", as_json=False)
        return Over(Ended({0: "done", 5: "locked"}.get(code, "failed")))  # type: ignore[arg-type]  # one of the words

    # A run

    def carry_out(self, _session: Any, _world: Any, plan: Plan, _digest: str, run: str, *_: Any, **__: Any) -> Result:
        """Does the steps of a plan one after the other, by the product's own actions where it has general ones."""
        self.runs += 1
        begun = self.clock.now()
        self.clock.sleep(1)
        for step in plan.steps:
            self._step(plan, step.id, step.action, step.params, run)
        store = plan.intent.stores[0]
        self.earlier[store] = self.shelves.pop(store)
        return Result(run, "done", 0, (), (), begun, self.clock.now(), begun, "begin of the run")

    def _step(self, plan: Plan, step: str, action: str, params: Mapping[str, Any], run: str) -> None:
        if action == "create-slot":
            self.server.slot = True
            return
        store = plan.documents.stores.get(params.get("store", ""))
        known = {"lineage": f"{store.engine}-1", **params} if store is not None else params
        attempt = Attempt(
            run=run, step=step, verb="act", number=1, epoch=1, site="seoul", resource="", action=action, params=known,
            declared={}, start_by=self.clock.now() + timedelta(hours=1), timeout=1e9,
        )  # fmt: skip
        context = _Context(
            attempt, self.here.file, self.clock, self.here.secrets, self.opened, Stop(self.clock), lambda _told: None
        )
        context.declared = plan.documents
        if action == "archive-log":
            self._archive(context, params)
            return
        find(action, plan.documents, params).act(context)

    def _archive(self, context: SiteContext, params: Mapping[str, Any]) -> None:
        begin = parse(params["begin"] or f"1/{lsn(0x1000000)}")
        end = parse(f"1/{lsn(self.server.written())}")
        if end > begin:
            archive = Archive(context, params["store"], params["lineage"])
            archive.learn(begin)
            archive.put(begin, end, b"log", self.clock.now())

    # What is left at the end

    @cached_property
    def history(self) -> list[ScheduleRecord]:
        signers = self.documents.sealing.believed if self.documents.sealing else {}
        wanted = schedule_history.days_back(self.clock.now(), 45)
        found = schedule_history.load("aegis", signers, self.repositories, wanted, None)
        assert not found.wrong
        return found.records


class _LeftOpen:
    """An authority that a scheduler may close as often as it likes."""

    def __init__(self, inner: Repository) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def close(self) -> None:
        """Others use it."""


def local(text: str) -> datetime:
    """A time of Berlin, in UTC."""
    from zoneinfo import ZoneInfo

    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)


def schedule_lease(system: str) -> str:
    return keys.lease(system, keys.SYSTEM_ROOM, "schedule")
