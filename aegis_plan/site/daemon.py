"""The daemon of a site: keeps running what the last applied plan declared here, and says what it does.

It decides nothing: what it runs stands in `declared.json`, which steps of plans write.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import threading
from pathlib import Path

from aegis_plan.actions import standing
from aegis_plan.clock import Clock, SystemClock, stamp
from aegis_plan.errors import AegisError, LockedError
from aegis_plan.site import sitefile
from aegis_plan.site.runner import folder_error
from aegis_plan.site.secrets import Resolver
from aegis_plan.site.sitefile import SiteFile
from aegis_plan.site.streaming import Stream

TELL_SECONDS = 2.0
END_SECONDS = 30.0


class Daemon:
    """Runs from `serve` until `end` is set."""

    def __init__(self, file: SiteFile, clock: Clock, secrets: Resolver) -> None:
        self.file, self.clock, self.secrets = file, clock, secrets
        self.end = threading.Event()
        self._begun = clock.now()
        self._streams: dict[str, Stream] = {}
        self._error = ""

    def serve(self) -> None:
        """Raises LockedError `daemon-running`."""
        folder = self.file.folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            held = os.open(folder / standing.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise folder_error(self.file, error) from None
        try:
            self._lock(held)
            last, told = "", 0.0
            while not self.end.is_set():
                self._turn()
                said = str(self._said())
                if said != last or self.clock.monotonic() - told >= TELL_SECONDS:
                    standing.write(folder / standing.DAEMON, self._said())
                    last, told = said, self.clock.monotonic()
                self.end.wait(1.0)
            self._finish()
        finally:
            os.close(held)

    def _lock(self, held: int) -> None:
        # A look tests the lock by taking it for a moment: that is no other daemon.
        for _ in range(20):
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.clock.sleep(0.05)
            else:
                return
        raise LockedError(
            "daemon-running",
            "the daemon of this site runs already",
            f"{self.file.site}: {self.file.folder / standing.LOCK} is held",
            "end the other one first",
        )

    def _turn(self) -> None:
        """Starts, ends and re-points streams until they are what is declared."""
        try:
            wanted = standing.streams(self.file.folder)
            self._error = ""
        except AegisError as error:
            # What runs goes on: an unreadable file is no order to stop.
            self._error = f"{error.code}: {error.detail}"
            return
        for store, stream in list(self._streams.items()):
            if stream.entry != wanted.get(store):
                stream.ask()
                if stream.ended:
                    del self._streams[store]
        for store, entry in wanted.items():
            if store not in self._streams:
                self._streams[store] = Stream(store, entry, self.file, self.clock, self.secrets)
                self._streams[store].start()

    def _said(self) -> dict[str, object]:
        return {
            "format": standing.FORMAT,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "begun": stamp(self._begun),
            "error": self._error,
            "streams": {store: dict(stream.status) for store, stream in sorted(self._streams.items())},
        }

    def _finish(self) -> None:
        for stream in self._streams.values():
            stream.ask()
        limit = self.clock.monotonic() + END_SECONDS
        for stream in self._streams.values():
            stream.join(max(0.0, limit - self.clock.monotonic()))


def run(path: Path) -> None:
    """Serves the site of a site file until TERM or INT. Raises LockedError `daemon-running`."""
    file = sitefile.load(path)
    daemon = Daemon(file, SystemClock(), Resolver(os.environ, file.path.parent))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.end.set())
    daemon.serve()
