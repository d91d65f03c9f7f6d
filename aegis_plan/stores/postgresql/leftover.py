"""What an old data directory still has of the log for a recovery to the latest moment, and which way of the archive
leads to it. What would be lost with it is said, never passed over. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from aegis_plan.plan.plan import PlanFinding
from aegis_plan.stores.contract import Ask, Target
from aegis_plan.stores.postgresql.chains import LineageArchive, Reach, parse_history
from aegis_plan.stores.postgresql.facts import Seen
from aegis_plan.stores.postgresql.points import Reached, exact, reached
from aegis_plan.stores.postgresql.positions import Position, format_lsn, parse
from aegis_plan.stores.problem import problem


def usable(here: Seen | None, target: Target) -> bool:
    """Whether an old data directory can have a say: its log leads to the latest moment and to no other."""
    return (
        here is not None
        and here.look.data_directory == "readable"
        and target.time is None
        and target.position is None
        and here.look.log_readable_from is not None
        and here.look.log_readable_to is not None
    )


def log_from(here: Seen | None, target: Target) -> int | None:
    """From which LSN the old data directory still has the log, where that may be used."""
    if here is None or not usable(here, target) or here.look.log_readable_from is None:
        return None
    return parse(here.look.log_readable_from).lsn


def take_up(
    ask: Ask, here: Seen | None, one: LineageArchive, found: Reached, target: Target, findings: list[PlanFinding]
) -> tuple[Reached, Position | None]:
    """The point from which the old directory's log goes on, and where it is taken up; None where it is not."""
    if here is None or not usable(here, target) or (here.lineage is not None and here.lineage != one.lineage):
        return found, None
    assert here.look.log_readable_from is not None
    assert here.look.log_readable_to is not None
    first, last = parse(here.look.log_readable_from), parse(here.look.log_readable_to)
    base = _base(found)
    timeline = here.look.timeline if here.look.timeline is not None else last.timeline
    history = tuple(parse_history(here.look.timeline_history or ""))
    known = one.paths.get(timeline, ())[:-1]
    if known and history and known != history:
        findings.append(_other(ask, found, timeline, "the archive holds another timeline of that number"))
        return found, None
    if timeline < found.timeline:
        findings.append(
            problem(
                ask,
                "warning",
                "tail-of-older-timeline",
                "the old data directory was left behind by the archive",
                f"it is on timeline {timeline}, the archive goes on to timeline {found.timeline}; what it wrote of "
                "its own after that began is not taken up",
                "look whether somebody wrote to it since; the old directory is kept",
            )
        )
        return found, None
    if timeline == base.timeline:
        if last.lsn <= base.lsn:
            return found, None
        if first.lsn > base.lsn:
            findings.append(_gap(ask, base, first))
            return found, None
        return found, base
    # It went on to a timeline of which the archive has nothing, or nothing behind its begin.
    ways = dict(history)
    if not ways:
        findings.append(_other(ask, found, timeline, "its history file is not there, so nothing tells where it began"))
        return found, None
    best: tuple[Reached, Position] | None = None
    for reach in one.reaches:
        if (candidate := _along(one, reach, ways, timeline)) is None or first.lsn > candidate[1].lsn:
            continue
        newer = candidate[0].reach.chain.last.not_after
        if best is None or (newer, candidate[1].lsn) >= (best[0].reach.chain.last.not_after, best[1].lsn):
            best = candidate
    if best is None:
        if base.timeline not in ways:
            findings.append(_other(ask, found, timeline, f"it does not come from timeline {base.timeline}"))
        else:
            findings.append(_gap(ask, min(base, Position(base.timeline, ways[base.timeline])), first))
        return found, None
    left = ways.get(base.timeline, 0)
    if base.lsn > left:
        findings.append(
            problem(
                ask,
                "warning",
                "timeline-left-behind",
                "the old server had gone back before the end of the archive",
                f"it left timeline {base.timeline} at {format_lsn(left)} for timeline {timeline}; what the archive "
                f"holds behind that, to {base}, was not in its data",
                f"to have that instead, restore to a moment with --to, before {exact(found.point.not_after)}",
            )
        )
    return best


def _base(found: Reached) -> Position:
    """Where the archive ends for a recovery point; without log the set's own begin, for the log leads on from there."""
    chain = found.reach.chain
    return parse(found.point.position) if found.reach.piece is not None else parse(chain.last.begin)


def _along(
    one: LineageArchive, reach: Reach, ways: Mapping[int, int], timeline: int
) -> tuple[Reached, Position] | None:
    """A reach as far as the old directory's history went the same way, with its end there."""
    line = {**ways, timeline: 2**64}
    end = parse(reach.chain.last.end)
    path = one.paths[reach.path]
    if reach.path not in line or any(line.get(step) != left for step, left in path[:-1]):
        return None
    if end.lsn > line.get(end.timeline, -1):
        return None
    if reach.piece is None:
        return reached(one, reach, None, None, []), parse(reach.chain.last.begin)
    upto = min(reach.end_lsn, line[reach.path])
    if upto < end.lsn:
        return None
    owner = next((step for step, left in path if upto <= left), reach.path)
    if upto == reach.end_lsn:
        return reached(one, reach, None, None, []), Position(owner, upto)
    return reached(one, reach, None, upto, []), Position(owner, upto)


def _gap(ask: Ask, base: Position, first: Position) -> PlanFinding:
    return problem(
        ask,
        "warning",
        "tail-not-contiguous",
        "the old server's log begins behind the end of the archive",
        f"the archive ends at {base}, the old data directory has log from {first} on; what lies between is gone",
        "the old log cannot be used; the restore goes to the end of the archive",
    )


def _other(ask: Ask, found: Reached, timeline: int, why: str) -> PlanFinding:
    return problem(
        ask,
        "error",
        "tail-of-other-history",
        "the old data directory went a way that the archive does not know",
        f"it is on timeline {timeline}: {why}. All that it acknowledged since it left the archive's way would be lost",
        "keep a copy of the old data directory; to give that up, restore to the end of the archive with "
        f"--to {found.point.position}",
    )
