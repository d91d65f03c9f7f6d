"""The records of what was due, when it was done and what was missed: one for each due run, immutable and signed like
those of backup sets. Pure data with the rules that need nothing else: how long they stay, and when people are told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from aegis_plan.catalog.due import CLOCKS_DIFFER

FORMAT = 1
OLDEST_READER = 1
_QUIET = timedelta(days=7)
"""So long without any due run, or a quarter of the time that records are kept, tells of no clock that jumped."""
REMIND = timedelta(hours=24)
"""Somebody who was told that a backup fails is told again when it still does after so long."""

Verdict = Literal["done", "degraded", "failed", "unknown", "stopped", "locked", "nothing"]
"""`nothing`: it was due, and there was nothing to do, as for the log of a server that wrote none. `locked`: another run
had the store."""
WELL: frozenset[Verdict] = frozenset({"done", "degraded", "nothing"})
"""How a run ends that did what was due."""
ILL: frozenset[Verdict] = frozenset({"failed", "unknown"})
"""How one ends that people have to be told of. One that was stopped or kept out goes on by itself."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Due(_Frozen):
    """One kind of backup that was due."""

    kind: Literal["full", "incremental", "log"]
    since: datetime
    """The first moment that was not kept; the present where there never was such a backup."""
    moments: int
    """How many moments passed since the last one that was kept. All but one were missed; one run makes up for them."""
    last: datetime | None
    """When that kind was last done, as the catalog says; None: never, or nobody could look."""

    @property
    def missed(self) -> int:
        return max(0, self.moments - 1)


class Notice(_Frozen):
    """One channel that was told, or the dead-man address that was asked for."""

    to: str
    """Name of the channel, or `dead-man`."""
    about: Literal["failure", "reminder", "recovery", "alive"]
    ok: bool
    why: str = ""
    """Why it did not go out."""


class ScheduleRecord(_Frozen):
    """One due run of one store and aspect."""

    format: int = FORMAT
    oldest_reader: int = OLDEST_READER
    id: str
    """Made by `clock.new_id` when it ended."""
    system: str
    store: str
    aspect: Literal["data", "log"]
    site: str
    """Whose key signs, and where it ran."""
    by: Literal["scheduler", "timer", "person"]
    """Who found that it was due."""
    due: tuple[Due, ...]
    begun: datetime
    ended: datetime
    verdict: Verdict
    run: str = ""
    """Id of the run, where there was one."""
    steps: tuple[str, ...] = ()
    code: str = ""
    """Of the error or finding that kept it from being done."""
    why: str = ""
    """In words without names of users or secrets."""
    unfinished: tuple[str, ...] = ()
    """Runs for the same that were found killed, and that were gone on with or given up."""
    notices: tuple[Notice, ...] = ()

    @property
    def well(self) -> bool:
        return self.verdict in WELL

    @property
    def missed(self) -> int:
        return max((one.missed for one in self.due), default=0)

    @property
    def late(self) -> timedelta:
        """How long after its first moment it began."""
        return max((self.begun - one.since for one in self.due), default=timedelta())


ADAPTER: TypeAdapter[ScheduleRecord] = TypeAdapter(ScheduleRecord)


def expired(days: Iterable[str], now: datetime, keep: timedelta) -> tuple[str, ...]:
    """Of the days (`2026-11-24`, in UTC) that records lie under, those that are past the retention and may be removed:
    the whole day has to be older than `keep`. Nothing else decides about records of the schedule.

    None goes while a day is later than the present, or while the days do not lead up to it: a clock that jumped leaves
    a gap."""
    known = sorted({found for day in days if (found := _day(day)) is not None})
    horizon = (now - keep).date()
    gone = [day for day in known if day < horizon]
    if not gone or known[-1] > (now + CLOCKS_DIFFER).date():
        return ()
    line = [gone[-1], *known[len(gone) :], now.date()]
    if any(later - earlier > max(keep / 4, _QUIET) for earlier, later in pairwise(line)):
        return ()
    return tuple(day.isoformat() for day in gone)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == len("2026-11-24") else None
    except ValueError:
        return None


def about(
    earlier: Sequence[ScheduleRecord], verdict: Verdict, now: datetime
) -> Literal["failure", "reminder", "recovery"] | None:
    """Of what people are told after a run of this verdict, given the earlier ones of the same store and aspect, oldest
    first: the first failure, one that lasts for another `REMIND`, and its end. None: of nothing."""
    telling = [record for record in earlier if record.verdict in WELL | ILL]
    failing = bool(telling) and telling[-1].verdict in ILL
    if verdict in WELL:
        return "recovery" if failing else None
    if verdict not in ILL:
        return None
    if not failing:
        return "failure"
    since = None
    for record in reversed(telling):
        if record.verdict not in ILL:
            break
        if any(notice.ok and notice.about in ("failure", "reminder") for notice in record.notices):
            since = record.ended
            break
    # Nobody heard of it yet: the channel was away, or there was none.
    if since is None:
        return "failure"
    return "reminder" if now - since >= REMIND else None
