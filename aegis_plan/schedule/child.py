"""A due run as a program of its own, so that no failure of it is one of the scheduler, and the log of a store is
archived while a full backup of it takes hours. A scheduler that is killed leaves it at work: its leases keep others
away."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Any

from aegis_plan.schedule.job import Unit
from aegis_plan.schedule.round import Ended

VERDICTS = {0: "done", 5: "locked", 6: "stopped", 7: "unknown", 130: "stopped"}
"""What the exit code says where the program could not tell more."""
_LAST_WORDS = 4000


class Child:
    """One `aegis backup --due` that runs."""

    def __init__(self, command: Sequence[str], unit: Unit, tell: Callable[..., None]) -> None:
        """Raises OSError where it cannot be started."""
        self._unit, self._tell = unit, tell
        self._end: dict[str, Any] = {}
        self._said = ""
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            # Ctrl-C at the terminal of the scheduler is passed on by it, once.
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            threading.Thread(target=self._events, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._words, args=(self._process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def ended(self) -> Ended | None:
        if self._process.poll() is None:
            return None
        for reader in self._readers:
            # An orphan of the program may hold the pipe; what matters was written before it ended.
            reader.join(2.0)
        if self._end:
            return Ended(self._end["verdict"], str(self._end.get("run", "")), str(self._end.get("why", "")))
        code = self._process.returncode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        verdict = VERDICTS.get(code, "failed") if code != 0 else "nothing"
        return Ended(verdict, "", f"the program {how}" if code else "")  # type: ignore[arg-type]  # one of the words

    def stop(self, at_once: bool = False) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL if at_once else signal.SIGTERM)

    def _events(self, pipe: IO[str]) -> None:
        for text in pipe:
            try:
                event = json.loads(text)
            except ValueError:
                continue
            kind = event.get("type", "")
            if kind == "due-ended":
                self._end = event
            elif kind in ("due-begun", "notice"):
                message = str(event.get("@message", ""))
                data = {name: value for name, value in event.items() if not name.startswith("@") and name != "type"}
                self._tell(kind, message, **data)

    def _words(self, pipe: IO[str]) -> None:
        for text in pipe:
            words = text.rstrip()
            if words and len(self._said) < _LAST_WORDS:
                self._said += words
                self._tell("said", f"{'/'.join(self._unit)}: {words}", store=self._unit[0], aspect=self._unit[1])
