"""The timelines before the present one, as the server's own history file tells them."""

from __future__ import annotations

from dataclasses import dataclass

from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql.replication import Replication
from aegis_plan.stores.postgresql.segments import read_history as parse_history


@dataclass(frozen=True)
class History:
    """`switches` are pairs of an ancestor and the position at which it was left, oldest first."""

    timeline: int
    switches: tuple[tuple[int, int], ...]
    text: str

    def owner(self, lsn: int) -> int:
        """The timeline on the way to the present one that holds `lsn`."""
        return next((timeline for timeline, left in self.switches if lsn < left), self.timeline)

    def left(self, timeline: int) -> int:
        """Where `timeline` was left. Raises AegisError `timeline-foreign`."""
        for ancestor, lsn in self.switches:
            if ancestor == timeline:
                return lsn
        raise AegisError(
            "timeline-foreign",
            "the archive ends on a timeline that the server does not come from",
            f"timeline {timeline} is not among the ancestors of timeline {self.timeline}",
            "`aegis plan` takes a full of the new timeline",
        )

    def after(self, timeline: int) -> int:
        """The timeline that followed `timeline`."""
        line = [ancestor for ancestor, _ in self.switches] + [self.timeline]
        return line[line.index(timeline) + 1]


def read_history(wire: Replication, timeline: int) -> History:
    """Asks the server for the history of its timeline."""
    if timeline <= 1:
        return History(timeline, (), "")
    text = wire.rows(f"TIMELINE_HISTORY {timeline}")[0][1] or ""
    return History(timeline, tuple((found.timeline, found.position) for found in parse_history(text.encode())), text)
