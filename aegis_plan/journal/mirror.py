"""Copies of a journal's lines in the state repositories, sealed, made from threads of their own. It never holds up a
run; whoever needs the copy before going on waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from aegis_plan.errors import AegisError, DamageError
from aegis_plan.repositories import keys
from aegis_plan.repositories.contract import Repository

Seal = Callable[[int, bytes], bytes]
"""Number of the first of some lines, and the lines with an LF between them, to their sealed bytes."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_GATHER = 0.25
"""Seconds in which lines that nobody waits for are gathered into one object: an object costs more flushes of the disk
than the journal's own entry, and would hold up the run that it must not hold up."""
_MOST = 1000
"""Lines of one object."""


class Mirror:
    """Carries lines to every repository, in order, until closed; a failing repository is tried again for ever."""

    def __init__(
        self, repositories: Sequence[Repository], system: str, run: str, seal: Seal, plan: bytes = b""
    ) -> None:
        """`plan`: the plan file of the run, which goes before the first line: a journal alone cannot be resumed."""
        self._repositories, self._plan = tuple(repositories), plan
        self._system, self._run, self._seal = system, run, seal
        self._changed = threading.Condition()
        self._lines: list[bytes] = []
        self._held = [0] * len(self._repositories)
        self._hurried = 0
        """Entries up to here are waited for."""
        self._trouble: dict[int, AegisError] = {}
        self._closing = False
        self._threads: list[threading.Thread] = []

    def start(self, lines: Iterable[tuple[int, bytes]]) -> None:
        """Begins with the lines that the journal holds already."""
        self._lines.extend(line for _, line in lines)
        for index in range(len(self._repositories)):
            thread = threading.Thread(target=self._carry, args=(index,), name="journal-mirror", daemon=True)
            self._threads.append(thread)
            thread.start()

    def offer(self, lines: Iterable[tuple[int, bytes]]) -> None:
        """Adds the next lines."""
        with self._changed:
            self._lines.extend(line for _, line in lines)
            self._changed.notify_all()

    def wait(self, number: int, timeout: float) -> bool:
        """Whether one repository holds everything up to `number`, within `timeout` seconds."""
        with self._changed:
            self._hurry(number)
            return self._changed.wait_for(lambda: not self._held or max(self._held) >= number, timeout)

    def _hurry(self, number: int) -> None:
        if number > self._hurried:
            self._hurried = number
            self._changed.notify_all()

    @property
    def trouble(self) -> AegisError | None:
        """What keeps a repository back, if anything does."""
        with self._changed:
            return next(iter(self._trouble.values()), None)

    def close(self, flush: float) -> None:
        """Waits up to `flush` seconds for all repositories, then ends. Lines that are left go with the next life."""
        with self._changed:
            self._hurry(len(self._lines))
            self._changed.wait_for(lambda: not self._held or min(self._held) >= len(self._lines), flush)
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(2.0)

    def _carry(self, index: int) -> None:
        repository = self._repositories[index]
        looked = False
        pause = _FIRST_PAUSE
        while True:
            first = self._held[index] + 1
            lines, count = self._due(first, _GATHER if looked else 0.0)
            if not lines:
                return
            last = first - 1 + len(lines)
            try:
                if looked:
                    self._put(repository, keys.run_entries(self._system, self._run, first, last), first, *lines)
                else:
                    # What an earlier life brought there is not brought again.
                    last = min(self._begin(repository), count)
                    looked = True
            except AegisError as error:
                with self._changed:
                    self._trouble[index] = error
                    self._changed.wait_for(lambda: self._closing, pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            with self._changed:
                self._held[index] = last
                self._trouble.pop(index, None)
                self._changed.notify_all()

    def _due(self, first: int, gather: float) -> tuple[list[bytes], int]:
        """The lines from `first` on that are to be carried now, and how many there are in all; none when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or len(self._lines) >= first)
            self._changed.wait_for(lambda: self._closing or self._hurried >= first, gather)
            return [] if self._closing else self._lines[first - 1 : first - 1 + _MOST], len(self._lines)

    def _begin(self, repository: Repository) -> int:
        """Brings the plan where it is not, and gives the last entry that is there with all before it."""
        place = keys.run_plan(self._system, self._run)
        found = {listed.key for listed in repository.listing(place.removesuffix("plan"))}
        if self._plan and place not in found:
            self._put(repository, place, 0, self._plan)
        return _reach(found)

    def _put(self, repository: Repository, key: str, number: int, *lines: bytes) -> None:
        try:
            repository.put(key, self._seal(number, b"\n".join(lines)))
        except DamageError as error:
            # A put whose answer was lost: the same lines, sealed with another key.
            if error.code != "object-conflict":
                raise


def _reach(found: set[str]) -> int:
    """Up to which entry the objects of a run hold all of them."""
    ranges: dict[int, int] = {}
    for key in found:
        first, dash, last = key.rpartition("/")[2].partition("-")
        if dash and first.isdigit() and last.isdigit():
            ranges[int(first)] = max(int(last), ranges.get(int(first), 0))
    held = 0
    while held + 1 in ranges:
        held = ranges[held + 1]
    return held
