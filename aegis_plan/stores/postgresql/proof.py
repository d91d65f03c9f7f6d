"""Takes the archives and the log of a backup apart as a restore does and keeps next to nothing: what shows that all of
it is whole before the old data goes. It never holds more on the disk than the log at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from aegis_plan.stores.postgresql.incremental import missing, read_blocks
from aegis_plan.stores.postgresql.manifest import Checker
from aegis_plan.stores.postgresql.positions import segment_name
from aegis_plan.stores.postgresql.segments import Spool, begin_of
from aegis_plan.stores.postgresql.unpack import Body, Unpacker

CONTROL = "global/pg_control"


@dataclass
class Proof(Unpacker):
    """Reads every file to its end. Only the control file is kept, and the log of the last set."""

    keeps_log: bool = False
    earlier: set[str] = field(default_factory=set)
    """Paths of the set before."""

    def begin_set(self) -> None:
        self.earlier = self.present
        super().begin_set()

    def _folder(self, target: Path, path: str, mode: int) -> None:
        """None is made."""

    def _patch(self, place: Path, listed: str, body: Body) -> None:
        read_blocks(body, self.block_size)
        if listed not in self.earlier:
            raise missing(body.name)
        _drain(body)

    def _file(self, place: str, body: Body, mode: int) -> None:
        control = self.root / CONTROL
        if place == str(control):
            control.parent.mkdir(exist_ok=True)
        elif not self.keeps_log or Path(place).parent != self.spool:
            _drain(body)
            return
        super()._file(place, body, mode)

    def hold_rebuilt(self, checker: Checker, tick: Callable[[int], None]) -> None:
        """Nothing was made of the pages; their own seals say that they are as they were sent."""

    def end_set(self) -> None:
        """Nothing was written that could be too much."""


def _drain(body: Body) -> None:
    for _ in body.pieces():
        pass


@dataclass
class Passing(Spool):
    """Log that is checked as it passes: a segment goes once nothing that follows can touch it any more."""

    passed: set[str] = field(default_factory=set)
    """Names of segments that were checked and dropped."""

    def take(self, timeline: int, begin: int, end: int, chunks: Iterable[bytes]) -> None:
        """Ranges of a timeline have to come in the order of their begin."""
        self._pass(timeline, begin - begin % self.size)
        super().take(timeline, begin, end, chunks)

    def _pass(self, timeline: int, below: int) -> None:
        # Where timelines part, the segment of the old one is the begin of the new one.
        parts = {at - at % self.size for switches in self.histories.values() for switch in switches
                 for at in (switch.position, switch.position - 1)}  # fmt: skip
        for path in sorted(self.folder.iterdir()):
            if len(path.name) != 24 or path.name[:8] != f"{timeline:08X}":
                continue
            start = begin_of(path.name, self.size)
            if start >= below or start in parts:
                continue
            for low, high in self.extents.get(timeline, []):
                if low < start + self.size and start < high:
                    self._check(timeline, start, max(low, start), min(high, start + self.size))
            self.passed.add(path.name)
            path.unlink()

    def _check(self, timeline: int, start: int, low: int, high: int) -> None:
        if segment_name(timeline, start, self.size) not in self.passed:
            super()._check(timeline, start, low, high)

    def _drop(self, name: str) -> None:
        """Kept: more log of the same segment may come."""
