"""What a plan for PostgreSQL rests on: the declared store, its members as they were looked at, its catalog, and the
small sentences that are said of them more than once. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aegis_plan.documents.model import Backup
from aegis_plan.documents.scalars import span
from aegis_plan.observe.snapshot import Facts, MemberLook
from aegis_plan.plan.plan import PlanFinding
from aegis_plan.plan.step import Estimate, Fact, measured
from aegis_plan.stores.contract import Ask
from aegis_plan.stores.postgresql.chains import Chain, LineageArchive, set_timeline
from aegis_plan.stores.postgresql.continuity import furthest
from aegis_plan.stores.postgresql.model import Look
from aegis_plan.stores.postgresql.positions import Position, parse, parse_lsn
from aegis_plan.stores.problem import problem

LOOKING = 5.0
"""Seconds by which a record has to be older than a look that is held against it; clocks of hosts differ."""


@dataclass(frozen=True)
class Seen:
    """One member, with what its driver saw as typed data."""

    member: MemberLook
    look: Look

    @property
    def lineage(self) -> str | None:
        return self.member.lineage

    @property
    def flush(self) -> int | None:
        return parse_lsn(self.look.flush_lsn) if self.look.flush_lsn else None


def seen(member: MemberLook) -> Seen:
    """Raises AegisError through pydantic never: unknown details of a newer driver are left out."""
    known = {name: value for name, value in member.details.items() if name in Look.model_fields}
    return Seen(member, Look.model_validate(known))


def lag_of(ask: Ask, look: MemberLook) -> float | None:
    """Seconds by which a replica lies behind; 0 where it has all that the primary wrote."""
    primary, here = ask.look.primary, seen(look)
    if primary is not None:
        there = seen(primary)
        if there.flush is not None and here.flush is not None and here.flush >= there.flush:
            return 0.0
    return here.look.lag_seconds


def left_behind(ask: Ask, look: MemberLook, hint: str) -> list[PlanFinding]:
    """What is said of a replica that is further behind than the documents allow."""
    allowed, lag = ask.store.members[look.member].lag, lag_of(ask, look)
    if allowed is None or lag is None or lag <= allowed.total_seconds():
        return []
    detail = f"{look.member}: {span(lag)} behind, at most {span(allowed.total_seconds())} are declared"
    return [
        problem(
            ask,
            "warning",
            "replica-behind",
            "the replica lies further behind than the documents allow",
            detail,
            hint,
        )
    ]


def slot_name(name: str, backup: Backup | None) -> str:
    declared = backup.log.slot if backup is not None and backup.log is not None else None
    return declared or "aegis_" + name.replace("-", "_").replace(".", "_")


def archive_end(one: LineageArchive | None, chain: Chain | None, timeline: int | None) -> Position | None:
    """Where the log that leads to a chain and beyond it ends, on the path to a timeline; None where there is none.

    A set that was taken behind the end of the archive is joined to it by the next log job."""
    if one is None or chain is None:
        return None
    path = timeline if timeline in one.paths else set_timeline(chain.last)
    end = one.end_before(path, parse(chain.last.begin).lsn) if path in one.paths else None
    if end is None:
        return None
    owner = next((line for line, upto in one.paths[path] if end <= upto), path)
    return Position(owner, end)


def behind_archive(one: LineageArchive | None, server: Seen, now: datetime) -> Position | None:
    """The end of what was taken of the server's timeline, where the server, a primary, has not written that far."""
    timeline, flush = server.look.timeline, server.flush
    if one is None or timeline is None or flush is None or server.member.state != "primary":
        return None
    # What was taken while the look went on may lie behind what it saw.
    end = furthest(
        (found for found in (*one.log, *one.promised) if (now - found.written).total_seconds() > LOOKING),
        one.lineage,
        timeline,
    )
    return end if end is not None and flush < end.lsn else None


def covered_until(one: LineageArchive, chain: Chain, timeline: int | None) -> datetime:
    """Every commit before this moment can be brought back with the chain and its log."""
    path = timeline if timeline in one.paths else set_timeline(chain.last)
    ends = [found.end for found in one.reaches if found.path == path and found.chain.last.id == chain.last.id]
    return max(ends, default=chain.last.not_after)


def sent_along(ask: Ask) -> tuple[str, ...]:
    """Names of the documents that the actions of a store need."""
    repositories = ask.store.backup.repositories if ask.store.backup is not None else ()
    return (f"stores/{ask.name}", *(f"repositories/{name}" for name in repositories), "sites/*")


def fact(facts: Facts, name: str) -> Fact:
    """What a step rests on, as it is now."""
    return Fact(name=name, value=facts[name])


def estimate(ask: Ask, action: str, size: int | None = None) -> Estimate:
    """From earlier runs where there are any, by size where both sizes are known."""
    past = ask.durations(action, ask.name)
    return measured(past, size) if past is not None else Estimate(bytes=size)
