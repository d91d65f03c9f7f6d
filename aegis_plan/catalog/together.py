"""To which moment several stores can go back together, and how far apart they then are. Pure arithmetic on stretches of
time; it knows nothing of how they are reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Reachable:
    """A stretch of time to every moment of which a store can go back; both ends are one where it is a moment only."""

    begin: datetime
    end: datetime
    exact: bool = True
    """False: what comes back is of no one moment."""


@dataclass(frozen=True)
class Point:
    """Where one store goes."""

    at: datetime
    exact: bool


@dataclass(frozen=True)
class Common:
    """Where all of them go."""

    at: datetime
    """No store goes to a later moment than this."""
    points: Mapping[str, Point]

    @property
    def skew(self) -> timedelta:
        """Between the oldest and the youngest of the states."""
        times = [point.at for point in self.points.values()]
        return max(times) - min(times)


def together(stores: Mapping[str, Sequence[Reachable]]) -> Common | None:
    """The latest moment to which all of the stores can go, chosen so that they are as close to each other as they can
    be without anyone giving up its newest state for it; None where one of them can go nowhere.

    A store that cannot go to that very moment goes to its last one before it. Of the moments from the oldest of the
    newest states on, the one with the least skew is taken, the later one of two alike."""
    if not stores or not all(stores.values()):
        return None
    first = min(max(one.end for one in mine) for mine in stores.values())
    ends = {moment for mine in stores.values() for one in mine for moment in (one.begin, one.end) if moment >= first}
    found: Common | None = None
    for moment in sorted(ends | {first}):
        points = {name: _before(mine, moment) for name, mine in stores.items()}
        known = {name: point for name, point in points.items() if point is not None}
        if len(known) < len(points):
            continue
        common = Common(moment, known)
        if found is None or common.skew <= found.skew:
            found = common
    return found


def _before(stretches: Sequence[Reachable], moment: datetime) -> Point | None:
    """The last moment of the stretches that is not after the given one."""
    best: Point | None = None
    for one in stretches:
        if one.begin <= moment:
            at = min(one.end, moment)
            if best is None or at > best.at:
                best = Point(at, one.exact)
    return best
