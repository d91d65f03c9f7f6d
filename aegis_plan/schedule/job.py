"""The jobs that documents declare: one for each schedule of a store, and when each is due by what the catalog holds.

Pure. It counts what was taken and archived whole; whether a server has anything new to archive only a plan knows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from aegis_plan.catalog.due import ahead, next_moment, passed
from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.living import living
from aegis_plan.catalog.schedule_record import Due
from aegis_plan.documents.model import Documents

Kind = Literal["full", "incremental", "log"]
Aspect = Literal["data", "log"]
Unit = tuple[str, Aspect]
"""What no two runs work on at once."""
KINDS: tuple[Kind, ...] = ("full", "incremental", "log")


@dataclass(frozen=True)
class Job:
    """One schedule of one store."""

    store: str
    kind: Kind
    schedule: str
    timezone: str

    @property
    def aspect(self) -> Aspect:
        return "log" if self.kind == "log" else "data"

    @property
    def unit(self) -> Unit:
        return self.store, self.aspect


@dataclass(frozen=True)
class Standing:
    """How a job stands at a moment."""

    job: Job
    last: datetime | None
    """When the newest backup of the kind began, or up to when the log is archived; None: never, or not seen."""
    moments: tuple[datetime, ...]
    """Those that passed since without one."""
    next: datetime | None
    """The next moment of the schedule, jitter included."""
    seen: bool
    """Whether every repository could be read. Where one could not, `last` may be later than it says."""

    @property
    def due(self) -> bool:
        """A job that was never done is due; so is one of which nobody can tell."""
        return self.last is None or bool(self.moments)

    @property
    def missed(self) -> int:
        """Moments that went by with nothing done: all that passed but the newest one, which is only due."""
        return max(0, len(self.moments) - 1)

    def as_due(self, now: datetime) -> Due:
        since = self.moments[0] if self.moments else now
        return Due(kind=self.job.kind, since=since, moments=max(1, len(self.moments)), last=self.last)


def jobs(documents: Documents, stores: Sequence[str] = ()) -> tuple[Job, ...]:
    """Every schedule of the stores named, or of all. A log that only streams has none."""
    zone = documents.system.timezone
    found: list[Job] = []
    for name, store in documents.stores.items():
        if store.backup is None or (stores and name not in stores):
            continue
        for kind in KINDS:
            declared = getattr(store.backup, kind)
            if declared is not None and declared.schedule is not None:
                found.append(Job(name, kind, declared.schedule, zone))
    return tuple(found)


def last_done(shelf: Shelf, now: datetime) -> dict[Kind, datetime]:
    """When each kind was last done, of what some repository holds whole. A full does for an incremental too, and
    either for the log before it. What a clock that was ahead dated later than now does for nothing."""
    alive = living(shelf)
    found: dict[Kind, datetime] = {}
    for record in alive.sets:
        if not alive.held(record.id) or ahead(record.begun, now):
            continue
        kinds: tuple[Kind, ...] = ("full", "incremental") if record.method == "full" else ("incremental",)
        for kind in kinds:
            found[kind] = max(found.get(kind, record.begun), record.begun)
        found["log"] = max(found.get("log", record.not_after), record.not_after)
    for log in alive.log:
        if alive.held(log.id) and not ahead(log.covers_until, now):
            found["log"] = max(found.get("log", log.covers_until), log.covers_until)
    return found


def standing(
    documents: Documents, shelves: Mapping[str, Shelf], now: datetime, stores: Sequence[str] = ()
) -> tuple[Standing, ...]:
    """How every job stands. A store without a shelf counts as not seen."""
    done: dict[str, dict[Kind, datetime]] = {name: last_done(shelf, now) for name, shelf in shelves.items()}
    found: list[Standing] = []
    for job in jobs(documents, stores):
        shelf = shelves.get(job.store)
        seen = shelf is not None and bool(shelf.holdings) and not shelf.unseen
        last = done.get(job.store, {}).get(job.kind)
        gone = passed(job.schedule, job.timezone, last, now) if last is not None else ()
        offset = jitter(documents, job, now)
        following = next_moment(job.schedule, job.timezone, now - offset)
        found.append(Standing(job, last, gone, following + offset if following is not None else None, seen))
    return tuple(found)


def jitter(documents: Documents, job: Job, now: datetime) -> timedelta:
    """How much later than its schedule says the job begins: drawn from its name, so that it is always as much, and at
    most a tenth of the time between two moments, so that a log job keeps its promise."""
    most = documents.schedule.jitter
    if most <= timedelta():
        return timedelta()
    one = next_moment(job.schedule, job.timezone, now)
    other = next_moment(job.schedule, job.timezone, one) if one is not None else None
    if one is not None and other is not None:
        most = min(most, (other - one) / 10)
    name = f"{documents.system.name}/{job.store}/{job.aspect}".encode()
    share = int.from_bytes(hashlib.sha256(name).digest()[:6], "big") / 2**48
    return timedelta(seconds=int(most.total_seconds() * share))


def units(standings: Sequence[Standing]) -> Iterator[Unit]:
    """Every store and aspect once, in the order of the documents, the log first: it is short, and loses most."""
    names = dict.fromkeys(one.job.unit for one in standings)
    yield from sorted(names, key=lambda unit: unit[1] != "log")


def due(standings: Sequence[Standing], unit: Unit) -> tuple[Standing, ...]:
    """What of one store and aspect is due."""
    return tuple(one for one in standings if one.job.unit == unit and one.due)


PAUSES = (60, 120, 300, 600, 900, 1800)
"""Seconds until a run that failed is tried again."""


def again(failures: int) -> timedelta:
    """How long to wait after so many failures in a row."""
    return timedelta(seconds=PAUSES[min(failures, len(PAUSES)) - 1]) if failures > 0 else timedelta()
