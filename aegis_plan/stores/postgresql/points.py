"""From a target to the recovery point that reaches it, or to a refusal that names what is missing and the way on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from aegis_plan.catalog.holding import Shelf
from aegis_plan.stores.contract import RecoveryPoint, Refusal, Target, Window
from aegis_plan.stores.postgresql.chains import LineageArchive, Reach, log_needed, set_timeline, windows
from aegis_plan.stores.postgresql.positions import Position, parse, parse_lsn


@dataclass(frozen=True)
class Reached:
    """A recovery point with what was chosen on the way to it."""

    point: RecoveryPoint
    reach: Reach
    timeline: int
    """On which the replay ends."""
    choices: tuple[str, ...] = ()
    own: bool = False
    """A moment was wanted, and what is reached is the end of a set, behind which no log was archived."""


def reach(
    lineages: Mapping[str, LineageArchive],
    shelf: Shelf,
    target: Target,
    *,
    tail_from: int | None = None,
    logged: bool = True,
    without: Collection[str] = (),
) -> Reached | Refusal:
    """The point for a target. `latest` is refused where records promise more than can be read, so that nothing is
    lost in silence; `tail_from` is the LSN from which an old data directory still has the log. Where none is meant to
    be archived (not `logged`), a moment is that of the newest set before it. The repositories `without` are said to be
    lost: what only they may hold is gone, and not merely unseen."""
    spans = windows(lineages)
    if not any(one.promised for one in lineages.values()):
        return _no_backup(shelf, without)
    if not spans:
        return _unreadable(lineages, shelf)
    if target.position is not None:
        return _position(lineages, target.position, spans)
    if target.time is not None:
        return _time(lineages, shelf, target.time, spans, logged)
    return _latest(lineages, shelf, spans, tail_from)


def _latest(
    lineages: Mapping[str, LineageArchive], shelf: Shelf, spans: tuple[Window, ...], tail_from: int | None
) -> Reached | Refusal:
    one = max(
        (one for one in lineages.values() if one.reaches),
        key=lambda one: (max(found.end for found in one.reaches), one.lineage),
    )
    best = one.reaches[-1]
    way = f"--to '{exact(best.end)}' takes it back to the newest moment that can be reached"
    filled = tail_from is not None and tail_from <= best.end_lsn
    lost = one.lost_behind(best)
    if lost and not filled:
        return Refusal(
            "log-hole",
            "the log has a hole, and what lies behind it would be lost",
            f"log from {lost[0]} is held by no repository that can be reached",
            f"{way}; or bring back the repository that holds the range",
            spans,
        )
    newer = [found for found in one.promised if found.not_after > best.end and found.set in one.broken]
    if newer and not filled:
        return Refusal(
            "chain-broken",
            "the newest backup cannot be read whole",
            one.broken[max(newer, key=lambda found: found.not_after).set],
            way,
            spans,
        )
    gone = _gone(shelf)
    if gone is not None:
        return Refusal("records-missing", *gone, f"{way}; or bring back the repository that holds them", spans)
    choices = []
    skipped = [
        found for found in one.promised if found.set in one.broken and found.not_after > best.chain.last.not_after
    ]
    if skipped:
        newest = max(skipped, key=lambda found: found.not_after)
        choices.append(
            f"uses set {best.chain.last.set} and more log, because {one.broken[newest.set]}; nothing more is lost by it"
        )
    return reached(one, best, None, None, choices)


def _gone(shelf: Shelf) -> tuple[str, str] | None:
    """Summary and detail of records that were there once and are no more."""
    for holding in shelf.holdings:
        for damage in holding.damage:
            if damage.kind in ("missing-record", "rolled-back"):
                return (
                    "records of the catalog are gone",
                    f"{damage.detail} ({damage.repository}); somebody removed them, or put back an older state",
                )
    return None


def _time(
    lineages: Mapping[str, LineageArchive], shelf: Shelf, moment: datetime, spans: tuple[Window, ...], logged: bool
) -> Reached | Refusal:
    best: tuple[tuple[bool, float, datetime, str], LineageArchive, Reach] | None = None
    for one in lineages.values():
        for found in one.reaches:
            if not found.begin <= moment <= found.end:
                continue
            born = one.births[found.path].timestamp()
            lived = born <= moment.timestamp()
            key = (lived, born if lived else -born, found.chain.last.not_after, found.chain.last.id)
            if best is None or key > best[0]:
                best = (key, one, found)
    if best is not None and best[2].piece is not None:
        return reached(best[1], best[2], moment, None, [])
    if best is not None:
        return replace(reached(best[1], best[2], None, None, []), own=True)
    bare = [
        (found.end, found.chain.last.id, one, found)
        for one in lineages.values()
        if not logged and all(record.details.get("history") for record in one.log)
        for found in one.reaches
        if found.end <= moment
    ]
    if bare and _gone(shelf) is None:
        _, _, one, found = max(bare, key=lambda found: found[:2])
        why = f"no log is archived: goes back to {exact(found.end)}, the end of the newest set before {_text(moment)}"
        return replace(reached(one, found, None, None, [why]), own=True)
    first, last = min(window.begin for window in spans), max(window.end for window in spans)
    if moment < first:
        return Refusal(
            "target-before-first-backup",
            "the target lies before the first backup that can be read",
            f"{_text(moment)} is before {_text(first)}",
            f"choose a moment from {exact(first)} on; {_spans(spans)}",
            spans,
        )
    # Log or sets that were taken and cannot be read are something else than a moment that nothing was taken of.
    promised = [record.covers_until for one in lineages.values() for record in one.log]
    promised += [found.not_after for one in lineages.values() for found in one.promised]
    if moment > max([last, *promised]):
        gone = _gone(shelf)
        if gone is not None:
            return Refusal(
                "records-missing", *gone, f"bring back the repository that holds them; {_spans(spans)}", spans
            )
        return Refusal(
            "target-after-log",
            "the target lies after the end of the archived log",
            f"{_text(moment)} is after {_text(last)}, and nothing tells what was written between",
            f"--to latest goes as far as can be; a running server's log is archived by 'aegis backup --log'; "
            f"{_spans(spans)}",
            spans,
        )
    return _between(lineages, _text(moment), spans)


def _position(lineages: Mapping[str, LineageArchive], text: str, spans: tuple[Window, ...]) -> Reached | Refusal:
    position = parse(text) if text.count("/") == 2 else None
    lsn = position.lsn if position is not None else parse_lsn(text)
    chosen: tuple[LineageArchive, Reach] | None = None
    for one in lineages.values():
        for found in one.reaches:
            path = one.paths[found.path]
            entry = path[-2][1] if len(path) > 1 else -1
            # A timeline owns what lies behind the point where it began; before it, its parent does.
            fits = entry < lsn if position is None else position.timeline == found.path
            if fits and parse(found.chain.last.end).lsn <= lsn <= found.end_lsn:
                chosen = (one, found)
    if chosen is not None:
        return reached(chosen[0], chosen[1], None, lsn, [])
    ends = [found.end_lsn for one in lineages.values() for found in one.reaches]
    begins = [parse(found.chain.last.end).lsn for one in lineages.values() for found in one.reaches]
    tips = [tip for one in lineages.values() for tip in one.tips.values()]
    if ends and lsn > max([*ends, *tips]):
        return Refusal(
            "target-after-log",
            "the target lies after the end of the archived log",
            f"{text} is behind the end of what the repositories hold",
            f"--to latest goes as far as can be; {_spans(spans)}",
            spans,
        )
    if begins and lsn < min(begins):
        return Refusal(
            "target-before-first-backup",
            "the target lies before the first backup that can be read",
            f"{text} is before the point from which the oldest set is consistent",
            _spans(spans),
            spans,
        )
    return _between(lineages, text, spans)


def reached(one: LineageArchive, found: Reach, moment: datetime | None, lsn: int | None, choices: list[str]) -> Reached:
    """The point at a moment or an LSN of a reach, at its end without both."""
    log = log_needed(one, found, moment, lsn)
    sets = found.chain.sets
    end = lsn
    if end is None:
        ends = [parse(record.end).lsn for record in log if not record.details.get("history")]
        floor = parse(found.chain.last.end).lsn
        end = found.end_lsn if moment is None else max([floor, *ends])
    path = one.paths[found.path]
    timeline = next((timeline for timeline, upto in path if end <= upto), found.path)
    own = found.piece is None or found.end == found.chain.last.not_after
    if moment is not None:
        not_before = not_after = moment
    elif own:
        not_before, not_after = found.chain.last.not_before, found.end
    else:
        not_before = not_after = found.end
    held = sorted({holder for record in (*sets, *log) for holder in one.holders.get(record.id, ())})
    point = RecoveryPoint(
        lineage=one.lineage,
        position=str(Position(timeline, end)),
        not_before=not_before,
        not_after=not_after,
        consistency=sets[-1].consistency,
        sets=sets,
        log=log,
        repositories=tuple(held),
    )
    return Reached(point, found, max(found.path, set_timeline(sets[-1])), tuple(choices))


def _between(lineages: Mapping[str, LineageArchive], what: str, spans: tuple[Window, ...]) -> Refusal:
    holes = sorted({str(hole) for one in lineages.values() for found in one.holes.values() for hole in found})
    broken = sorted({reason for one in lineages.values() for reason in one.broken.values()})
    if not holes and broken:
        return Refusal(
            "chain-broken",
            "no set that can be read leads to the target",
            f"{what} is within no span that can be reached: {broken[0]}",
            f"bring back a repository that holds it, or choose another moment; {_spans(spans)}",
            spans,
        )
    missing = f"log from {', '.join(holes[:3])} is missing" if holes else "no unbroken log leads to it"
    return Refusal(
        "log-hole",
        "the log has a hole before the target",
        f"{what} is within no span that can be reached: {missing}",
        f"bring back a repository that holds it, or choose another moment; {_spans(spans)}",
        spans,
    )


def _no_backup(shelf: Shelf, without: Collection[str]) -> Refusal:
    unknown = [
        damage
        for holding in shelf.holdings
        for damage in holding.damage
        if damage.kind in ("bad-signature", "unknown-signer", "unreadable-record", "misplaced")
    ]
    hints = ""
    away = shelf.unseen
    detail = "no repository that can be reached holds a set of this store"
    if away:
        could = len(away) < len(shelf.holdings)
        detail = f"{detail + '; could' if could else 'could'} not look at {'; '.join(away)}"
    if unknown:
        detail += f"; {len(unknown)} objects there were refused, such as {unknown[0].key}: {unknown[0].detail}"
        hints = "name the signer below sealing if you trust it ('aegis explain unknown-signer'); "
    if any(not one.reachable and one.repository not in without for one in shelf.holdings):
        # Whether there is a backup is not known: to say that there is none would make people give up what they have.
        return Refusal(
            "backups-unknown",
            "no backup is seen, and not every repository could be reached",
            detail,
            hints + "bring back what cannot be reached, or plan on a host that reaches it; where the server still "
            "runs, take a full backup now",
        )
    return Refusal(
        "no-backup",
        "there is no backup to go back to",
        detail,
        hints + "where the server still runs, 'aegis backup' takes a full one now",
    )


def _unreadable(lineages: Mapping[str, LineageArchive], shelf: Shelf) -> Refusal:
    reasons = sorted({reason for one in lineages.values() for reason in one.broken.values()})
    keys = [
        damage
        for holding in shelf.holdings
        if holding.reachable
        for damage in holding.damage
        if damage.kind == "unreadable-keys"
    ]
    if keys:
        return Refusal(
            "keys-unreadable",
            "no key at hand opens the backups",
            f"{keys[0].key}: {keys[0].detail}",
            "give the site an identity that is among sealing.recipients, or the recovery recipient's",
        )
    return Refusal(
        "chain-broken",
        "no set can be read whole",
        "; ".join(reasons[:3]),
        "bring back a repository that holds the missing part; 'aegis catalog' lists what is held where",
    )


def exact(moment: datetime) -> str:
    """For a `--to` that people copy: cut to milliseconds, it could lie before the only moment that can be reached."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _spans(spans: tuple[Window, ...]) -> str:
    shown = [
        exact(window.end) if window.begin == window.end else f"{exact(window.begin)} to {exact(window.end)}"
        for window in spans[-3:]
    ]
    return f"possible: {' or '.join(shown)}" if shown else "nothing is possible"
