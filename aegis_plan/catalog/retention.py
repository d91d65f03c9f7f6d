"""What is kept and why, and what goes and why: a pure fold of the records of one store.

What a record needs of others is said by the store's kind (`Bonds`); this module knows the times. In doubt it keeps:
it lets nothing go while a repository is unseen, records are missing, or the clock cannot be right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from aegis_plan.catalog.due import ahead
from aegis_plan.catalog.ending import Ended, endings
from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.holds import holds
from aegis_plan.catalog.living import Living, living
from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.catalog.verified import proved

_STILL = timedelta(days=1)
"""So long without a new set is never taken for backups that stand still, or for a clock that ran ahead."""
KINDS: tuple[Literal["full", "incremental", "log"], ...] = ("full", "incremental", "log")

Periods = Mapping[str, timedelta | None]
"""Kind to how long it is kept; None is for good."""


@dataclass(frozen=True)
class Bonds:
    """What records need of each other, in the words of no engine."""

    builds_on: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Id of a set to what it needs of other sets, over all steps: their ids; what is in no catalog by its name."""
    log: Callable[[frozenset[str], datetime | None], Mapping[str, str]] = lambda _sets, _since: {}
    """Ids of the sets that stay, and a moment, to the records of the log that have to stay with them, each with the
    reason: what a set needs to be consistent, and what leads on from them to every moment from then on; without one,
    from the oldest of them on."""


@dataclass(frozen=True)
class Rules:
    """What the documents say of one store."""

    periods: Periods
    minimum_fulls: int = 2
    """So many of the newest fulls that are held whole stay, whatever their age."""
    grace: timedelta = timedelta(days=1)
    """Between a tombstone and the deletion."""
    shortening_grace: timedelta = timedelta(weeks=1)
    """A shortened period applies so long after the first set that was made under it."""
    accept_shorter: bool = False
    """Whether a person said that a shortened period applies at once."""


@dataclass(frozen=True)
class Going:
    """A record that goes, and why."""

    record: str
    why: str


@dataclass(frozen=True)
class Retention:
    """The verdict on every record of a store that has bytes."""

    kept: Mapping[str, str] = field(default_factory=dict)
    """Id to why it stays."""
    going: tuple[Going, ...] = ()
    """What expired and has no tombstone yet."""
    later: tuple[Going, ...] = ()
    """What will expire once a shortened period applies."""
    later_from: datetime | None = None
    """When that is, as far as it is known."""
    waiting: tuple[Ended, ...] = ()
    """What has a tombstone and is not deleted yet, because of its grace."""
    deletable: tuple[Ended, ...] = ()
    """What has a tombstone that is seen everywhere, and whose grace is over."""
    unspread: tuple[str, ...] = ()
    """Ids of tombstones that some repository lacks."""
    stopped: str = ""
    """Why nothing goes for now, whatever its age."""


def retained(shelf: Shelf, rules: Rules, bonds: Bonds, now: datetime) -> Retention:
    """Folds a store's shelf at a moment."""
    alive = living(shelf)
    ended = endings(shelf.records)
    present = {record.id: record for record in shelf.records if isinstance(record, SetRecord | LogRecord)}
    stopped = _stopped(shelf, rules, alive, bonds, now)
    if stopped:
        return Retention({one: stopped for one in present if one not in ended}, stopped=stopped)
    periods = in_force(alive.sets, rules, now)
    kept = _kept(shelf, rules, periods, alive, bonds, now)
    going = tuple(_going(alive, kept, periods))
    later: tuple[Going, ...] = ()
    if any(_shorter(rules.periods.get(kind), periods.get(kind)) for kind in KINDS):
        declared = _kept(shelf, rules, rules.periods, alive, bonds, now)
        gone = {one.record for one in going}
        later = tuple(one for one in _going(alive, declared, rules.periods) if one.record not in gone)
    needed = {other for one in kept for other in bonds.builds_on.get(one, ())}
    everywhere = _everywhere(shelf)
    waiting: list[Ended] = []
    deletable: list[Ended] = []
    for one in sorted(ended.values(), key=lambda one: one.record):
        if one.record not in present or one.record in needed:
            continue
        ripe = one.delete_from <= now and one.tombstone in everywhere
        (deletable if ripe else waiting).append(one)
    return Retention(
        kept=kept,
        going=going,
        later=later,
        later_from=_applies_from(alive.sets, rules) if later else None,
        waiting=tuple(waiting),
        deletable=tuple(deletable),
        unspread=tuple(sorted({one.tombstone for one in waiting if one.tombstone not in everywhere})),
    )


def in_force(sets: Iterable[SetRecord], rules: Rules, now: datetime) -> Periods:
    """The periods that apply now: the declared ones, or longer ones that sets were made under until lately.

    Each set says what was declared when it was made (`details["retain"]`), so that a shortening is seen by everyone
    who sees the sets."""
    if rules.accept_shorter:
        return rules.periods
    found = dict(rules.periods)
    for promised in _promises(sets, now - rules.shortening_grace):
        for kind in KINDS:
            if kind in promised and _shorter(found.get(kind), promised[kind]):
                found[kind] = promised[kind]
    return found


def _promises(sets: Iterable[SetRecord], since: datetime) -> list[Periods]:
    """What was in force at any moment from `since` on, as the sets say."""
    told = [(record.written, said) for record in sets if (said := promise_of(record)) is not None]
    told.sort(key=lambda one: one[0])
    before = [said for written, said in told if written <= since]
    return [*before[-1:], *(said for written, said in told if written > since)]


def promise_of(record: SetRecord) -> Periods | None:
    """How long each kind was to be kept when the set was made; None where it does not say."""
    said = record.details.get("retain")
    if not isinstance(said, dict):
        return None
    return {
        str(kind): None if seconds is None else timedelta(seconds=float(seconds))
        for kind, seconds in said.items()
        if seconds is None or isinstance(seconds, int | float)
    }


def promise(periods: Periods) -> dict[str, float | None]:
    """What a set that is made now says of how long each kind is kept."""
    return {kind: span.total_seconds() if span is not None else None for kind, span in periods.items()}


def _shorter(one: timedelta | None, other: timedelta | None) -> bool:
    return one is not None and (other is None or one < other)


def _applies_from(sets: Iterable[SetRecord], rules: Rules) -> datetime | None:
    """When what is declared now has been in force for the grace; None while no set was made under it."""
    told = sorted(
        ((record.written, said) for record in sets if (said := promise_of(record)) is not None),
        key=lambda one: one[0],
        reverse=True,
    )
    since = None
    for written, said in told:
        if any(kind in said and _shorter(rules.periods.get(kind), said[kind]) for kind in KINDS):
            break
        since = written
    return since + rules.shortening_grace if since is not None else None


def _stopped(shelf: Shelf, rules: Rules, alive: Living, bonds: Bonds, now: datetime) -> str:
    """Why nothing may go at all, or nothing."""
    if not shelf.holdings:
        return "no repository was looked at"
    if shelf.unseen:
        return f"a repository cannot be seen: {shelf.unseen[0]}"
    known = {record.id for record in shelf.records}
    for holding in shelf.holdings:
        for damage in holding.damage:
            name = damage.key.rpartition("/")[2].removesuffix(".json")
            lost = damage.kind in ("missing-record", "rolled-back")
            unread = damage.kind in ("unreadable-record", "bad-signature") and name not in known
            if lost or unread:
                return f"the catalog is not whole: {holding.repository}: {damage.detail}"
    newest = max((record.written for record in shelf.records), default=now)
    if ahead(newest, now):
        return f"the newest record is of {newest.isoformat()}, later than now: a clock is wrong"
    readable = _readable(alive, bonds)
    if not readable:
        return "no set can be read whole"
    made = readable[-1].not_after
    spans = [span for kind in ("full", "incremental") if (span := rules.periods.get(kind)) is not None]
    if spans and now - made > max(min(spans), _STILL):
        return f"no set was made since {made.isoformat()}, longer ago than sets are kept; a new one has to come first"
    return ""


def _readable(alive: Living, bonds: Bonds) -> list[SetRecord]:
    """Living sets that are held whole with all that they build on, the newest last."""
    whole = {record.id for record in alive.sets if alive.held(record.id)}
    found = (record for record in alive.sets if {record.id, *bonds.builds_on.get(record.id, ())} <= whole)
    return sorted(found, key=lambda one: (one.not_after, one.id))


def _kept(shelf: Shelf, rules: Rules, periods: Periods, alive: Living, bonds: Bonds, now: datetime) -> dict[str, str]:
    """Every living record that stays, with the first reason found."""
    kept: dict[str, str] = {}
    readable = _readable(alive, bonds)
    newest = readable[-1]
    current = newest.lineage
    _keep_held(shelf, alive, kept, now)
    kept.setdefault(newest.id, "it is the newest set")
    latest = max(alive.sets, key=lambda one: (one.not_after, one.id))
    kept.setdefault(latest.id, "it is the newest set")
    checked = proved(shelf.records)
    verified = [record for record in readable if record.id in checked]
    if verified:
        kept.setdefault(verified[-1].id, "it is the newest set that was read again and found whole")
    fulls = [record for record in readable if record.lineage == current and record.method == "full"]
    for record in fulls[-max(1, rules.minimum_fulls) :]:
        kept.setdefault(record.id, f"it is one of the newest {max(1, rules.minimum_fulls)} fulls")
    for record in alive.sets:
        span = periods.get(record.method)
        if span is None:
            kept.setdefault(record.id, f"a set of kind {record.method} is kept for good")
        elif now - record.not_after <= span:
            kept.setdefault(record.id, f"it is younger than {_say(span)}")
    for kind in ("full", "incremental"):
        span = periods.get(kind)
        among = [record for record in readable if kind != "full" or record.method == "full"]
        if span is not None:
            for record in _anchors(among, now - span, current):
                kept.setdefault(record.id, f"it leads to the whole of the last {_say(span)}")
    log = periods.get("log")
    since = now - log if log is not None else None
    if since is not None:
        for record in _anchors(readable, since, current):
            kept.setdefault(record.id, f"the log of the last {_say(now - since)} leads on from it")
    older = {record.lineage for record in alive.sets} - {current}
    unproved = older and not (len(fulls) >= rules.minimum_fulls and any(one.id in checked for one in fulls))
    if unproved:
        for one in (*alive.sets, *alive.log):
            if one.lineage in older:
                kept.setdefault(one.id, "the history that followed its own is not proved yet")
    for identity in list(kept):
        for other in bonds.builds_on.get(identity, ()):
            kept.setdefault(other, "a set that stays builds on it")
    _keep_log(alive, bonds, kept, since)
    return kept


def _keep_held(shelf: Shelf, alive: Living, kept: dict[str, str], now: datetime) -> None:
    for hold in holds(shelf.records, now):
        until = f" until {hold.until.date().isoformat()}" if hold.until is not None else ""
        for identity in hold.targets or tuple(one.id for one in (*alive.sets, *alive.log)):
            kept.setdefault(identity, f"{hold.by} holds it{until}: {hold.reason}")


def _anchors(sets: list[SetRecord], moment: datetime, current: str) -> list[SetRecord]:
    """The newest set that is not younger than a moment: of all, and of the present history."""
    old = [record for record in sets if record.not_after <= moment]
    return [*old[-1:], *[record for record in old if record.lineage == current][-1:]]


def _keep_log(alive: Living, bonds: Bonds, kept: dict[str, str], since: datetime | None) -> None:
    staying = frozenset(record.id for record in alive.sets if record.id in kept)
    for identity, why in bonds.log(staying, since).items():
        kept.setdefault(identity, why)
    if since is not None:
        for record in alive.log:
            if max(record.covers_until, record.written) >= since:
                kept.setdefault(record.id, "it is log of the period that is kept")


def _going(alive: Living, kept: Mapping[str, str], periods: Periods) -> Iterable[Going]:
    for record in sorted((*alive.sets, *alive.log), key=lambda one: one.id):
        if record.id in kept:
            continue
        span = periods.get(record.method if isinstance(record, SetRecord) else "log")
        if span is not None:
            yield Going(record.id, f"older than {_say(span)}")
        else:
            yield Going(record.id, "no set that is kept leads on to it")


def _everywhere(shelf: Shelf) -> set[str]:
    """Ids of the records that every repository holds."""
    found: set[str] | None = None
    for holding in shelf.holdings:
        found = set(holding.held) if found is None else found & set(holding.held)
    return found or set()


def _say(span: timedelta) -> str:
    days, rest = divmod(span, timedelta(days=1))
    if not rest and days:
        return f"{days // 7} weeks" if days % 7 == 0 and days > 7 else f"{days} day{'s' if days != 1 else ''}"
    seconds = span.total_seconds()
    return (
        f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
    )


def without(shelf: Shelf, gone: Iterable[str]) -> Shelf:
    """The shelf as it would be without some records."""
    left = set(gone)
    return shelf.model_copy(
        update={
            "records": tuple(record for record in shelf.records if record.id not in left),
            "holdings": tuple(
                holding.model_copy(update={"held": tuple(one for one in holding.held if one not in left)})
                for holding in shelf.holdings
            ),
        }
    )
