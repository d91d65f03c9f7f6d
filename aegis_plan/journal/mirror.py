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
"""Number and line of an entry to its sealed bytes."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


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
        self._sealed: dict[int, bytes] = {}
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
            return self._changed.wait_for(lambda: not self._held or max(self._held) >= number, timeout)

    @property
    def trouble(self) -> AegisError | None:
        """What keeps a repository back, if anything does."""
        with self._changed:
            return next(iter(self._trouble.values()), None)

    def close(self, flush: float) -> None:
        """Waits up to `flush` seconds for all repositories, then ends. Lines that are left go with the next life."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or min(self._held) >= len(self._lines), flush)
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(2.0)

    def _carry(self, index: int) -> None:
        repository = self._repositories[index]
        present: set[str] | None = None
        pause = _FIRST_PAUSE
        while True:
            with self._changed:
                number = self._held[index] + 1
                while not self._closing and len(self._lines) < number:
                    self._changed.wait()
                if self._closing:
                    return
                line = self._lines[number - 1]
            key = keys.run_entry(self._system, self._run, number)
            try:
                if present is None:
                    # Lines of an earlier life may be there; sealed anew they would have other bytes.
                    present = {found.key for found in repository.listing(key.rpartition("/")[0] + "/")}
                place = keys.run_plan(self._system, self._run)
                if self._plan and place not in present:
                    self._put(repository, place, 0, self._plan)
                    present.add(place)
                if key not in present:
                    self._put(repository, key, number, line)
            except AegisError as error:
                with self._changed:
                    self._trouble[index] = error
                    self._changed.wait_for(lambda: self._closing, pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            with self._changed:
                self._held[index] = number
                self._trouble.pop(index, None)
                self._changed.notify_all()

    def _put(self, repository: Repository, key: str, number: int, line: bytes) -> None:
        with self._changed:
            sealed = self._sealed.get(number)
        if sealed is None:
            sealed = self._seal(number, line)
            if len(self._repositories) > 1:
                with self._changed:
                    # Every repository gets the same bytes; what all hold is forgotten.
                    sealed = self._sealed.setdefault(number, sealed)
                    for old in [old for old in self._sealed if old <= min(self._held)]:
                        del self._sealed[old]
        try:
            repository.put(key, sealed)
        except DamageError as error:
            if error.code != "object-conflict":
                raise
