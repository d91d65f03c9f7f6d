"""One repository's share of a set that is being written: a thread with a bounded queue. It seals nothing and decides
nothing; whether a repository that lags is dropped is the set writer's choice.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable

from aegis_plan.errors import AegisError
from aegis_plan.repositories.contract import Repository, Upload


class Uploader:
    """Carries the parts of one object after the other into one repository."""

    def __init__(self, name: str, repository: Repository, most_parts: int, woken: threading.Condition) -> None:
        self.name = name
        self.trouble: AegisError | None = None
        self.moved_at = time.monotonic()
        """When it last took a part or finished an object."""
        self.busy_seconds = 0.0
        """Spent in the storage so far."""
        self.sent = 0
        """Bytes that the storage took so far."""
        self._repository = repository
        self._most = most_parts
        self._woken = woken
        self._queue: deque[Callable[[], None]] = deque()
        self._busy = False
        self._since = 0.0
        self._ending = False
        self._upload: Upload | None = None
        self._thread = threading.Thread(target=self._run, name=f"upload-{name}", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether it lags as far as it may. To be read while holding the condition."""
        return len(self._queue) >= self._most

    def pace(self, now: float) -> float:
        """Bytes a second while it was at work, what it is at now included. To be read while holding the condition."""
        busy = self.busy_seconds + (now - self._since if self._busy else 0.0)
        return self.sent / busy if busy > 0 else float("inf")

    @property
    def idle(self) -> bool:
        """Whether all that was given is done. To be read while holding the condition."""
        return not self._queue and not self._busy

    def open(self, key: str) -> None:
        """The parts that follow belong to `key`."""
        self._give(lambda: self._open(key))

    def part(self, data: bytes) -> None:
        """The next bytes."""
        self._give(lambda: self._write(data))

    def commit(self, sha256: str) -> None:
        """The object is complete."""
        self._give(lambda: self._commit(sha256))

    def end(self, *, wait: float | None) -> None:
        """Drops what is queued, aborts the unfinished object and ends the thread. A thread that hangs in its storage
        longer than `wait` seconds is left behind; it writes nothing more that could become visible."""
        with self._woken:
            self._ending = True
            self._queue.clear()
            self._woken.notify_all()
        self._thread.join(wait)

    def _give(self, task: Callable[[], None]) -> None:
        with self._woken:
            self._queue.append(task)
            self._woken.notify_all()

    def _run(self) -> None:
        while True:
            with self._woken:
                while not self._queue and not self._ending:
                    self._woken.wait()
                if self._ending:
                    break
                task = self._queue.popleft()
                self._busy = True
                self._since = time.monotonic()
            try:
                task()
            except AegisError as error:
                self.trouble = error
            except Exception as error:  # noqa: BLE001 - a fault in a thread must reach the caller, not end in silence
                self.trouble = AegisError(
                    "upload-failed",
                    "writing to a repository failed for a reason that was not foreseen",
                    f"{self.name}: {type(error).__name__}",
                    "this is a fault of aegis; report it",
                )
            with self._woken:
                self._busy = False
                self.moved_at = time.monotonic()
                self.busy_seconds += self.moved_at - self._since
                if self.trouble is not None:
                    self._queue.clear()
                    self._ending = True
                self._woken.notify_all()
        self._abort()

    def _open(self, key: str) -> None:
        self._upload = self._repository.open(key)

    def _write(self, data: bytes) -> None:
        if self._upload is not None and not self._ending:
            self._upload.write(data)
            self.sent += len(data)

    def _commit(self, sha256: str) -> None:
        if self._upload is not None and not self._ending:
            self._upload.commit(sha256)
            self._upload = None

    def _abort(self) -> None:
        if self._upload is not None:
            with contextlib.suppress(Exception):
                self._upload.abort()
            self._upload = None
