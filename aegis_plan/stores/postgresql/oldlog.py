"""The log of an old data directory that went on to timelines which the archive does not know: which stretches of which
timeline lead from the archive's end to its own, and in which files they are. It only reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql.positions import Position, segment_floor, segment_name
from aegis_plan.stores.postgresql.segments import Switch, read_history


class Stretch(NamedTuple):
    timeline: int
    begin: int
    end: int


class Known(NamedTuple):
    """A timeline with its history file."""

    timeline: int
    before: int
    left: int
    """Where the timeline before it was left."""
    text: str


@dataclass
class OldLog:
    """From `begin` on a timeline of its past to the end of its own."""

    folder: Path
    size: int
    """Bytes of a segment."""
    timeline: int
    begin: Position

    def __post_init__(self) -> None:
        """Raises AegisError `old-log-other-history`, DamageError `history-damaged`."""
        self.switches = self._history(self.timeline)
        ways = {switch.timeline: switch.position for switch in self.switches}
        if ways.get(self.begin.timeline, -1) < self.begin.lsn:
            raise AegisError(
                "old-log-other-history",
                "the old server's log does not lead on from the archive",
                f"{self.folder}: its timeline {self.timeline} does not come from {self.begin}",
                "make a new plan; --to a moment leaves the old log alone",
            )
        self.switches = [switch for switch in self.switches if switch.timeline >= self.begin.timeline]

    @property
    def left(self) -> int:
        """Where its own timeline begins."""
        return self.switches[-1].position

    def _history(self, timeline: int) -> list[Switch]:
        try:
            return read_history((self.folder / f"{timeline:08X}.history").read_bytes())
        except OSError as error:
            raise AegisError(
                "old-log-other-history",
                "the old server's log does not lead on from the archive",
                f"{self.folder}: the history of timeline {timeline} cannot be read: {error.strerror}",
                "make a new plan; --to a moment leaves the old log alone",
            ) from None

    def histories(self, known: set[int]) -> Iterator[Known]:
        """The histories that the archive does not hold, oldest first; its own has to be there."""
        line = [*(switch.timeline for switch in self.switches), self.timeline]
        for switch, timeline in zip(self.switches, line[1:], strict=True):
            path = self.folder / f"{timeline:08X}.history"
            if timeline not in known and (timeline == self.timeline or path.exists()):
                yield Known(timeline, switch.timeline, switch.position, path.read_text("utf-8", "replace"))

    def stretches(self, end: int) -> list[Stretch]:
        """What leads to `end` on its own timeline. A new timeline begins with the segment in which it left the old one,
        as the server itself writes it."""
        found, at = [], self.begin.lsn
        for switch in self.switches:
            if at < switch.position:
                found.append(Stretch(switch.timeline, at, switch.position))
            at = segment_floor(switch.position, self.size)
        if at < end:
            found.append(Stretch(self.timeline, at, end))
        return found

    def file(self, timeline: int, at: int) -> Path:
        """The file that holds a position of a timeline. Raises AegisError `old-log-not-contiguous`."""
        name = segment_name(timeline, at, self.size)
        names = [name, f"{name}.partial"]
        line = [*(switch.timeline for switch in self.switches), self.timeline]
        for switch, following in zip(self.switches, line[1:], strict=True):
            if switch.timeline == timeline and at >= segment_floor(switch.position, self.size):
                names.append(segment_name(following, at, self.size))
        for one in names:
            if (self.folder / one).exists():
                return self.folder / one
        raise AegisError(
            "old-log-not-contiguous",
            "the old server's log does not begin where the archive ends",
            f"{name} is not in {self.folder}",
            "make a new plan; --to a moment leaves the old log alone",
        )
