"""One worker of a site at the other end of a pipe: writes requests, reads lines, notices silence and death.

It knows nothing of what the lines mean.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

END_SECONDS = 35.0
"""Longer than a worker takes to settle."""


class Pipe:
    """A running worker. `hear` gets each message, `gone` is called once when the worker ended."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None,
        hear: Callable[[Pipe, dict[str, Any]], None],
        gone: Callable[[Pipe], None],
    ) -> None:
        """Raises OSError when the command cannot be started."""
        self.hello: dict[str, Any] | None = None
        self.refused: dict[str, Any] | None = None
        self.dead = False
        self.asked: float | None = None
        """When the oldest request went out that nothing was heard after."""
        self.heard = time.monotonic()
        self._hear, self._gone = hear, gone
        self._queue: queue.SimpleQueue[tuple[bytes, str] | None] = queue.SimpleQueue()
        self.unwritten: set[str] = set()
        """Keys whose request has not left this process."""
        # A group of its own: Ctrl-C on a terminal is for the coordinator to judge.
        self.process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=None if environment is None else dict(environment),
            process_group=0,
        )
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._writer.start()
        self._reader.start()

    def send(self, message: dict[str, Any], key: str = "") -> None:
        """Queues a request; never blocks."""
        if key:
            self.unwritten.add(key)
        self._queue.put((json.dumps(message, separators=(",", ":")).encode() + b"\n", key))

    def close(self) -> None:
        """Ends the worker: gracefully, and after a while at once."""
        self._queue.put(None)
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(5.0)

    def _write(self) -> None:
        stream = self.process.stdin
        assert stream is not None
        while (entry := self._queue.get()) is not None:
            data, key = entry
            if self.asked is None:
                self.asked = time.monotonic()
            # From here on the worker may have it.
            self.unwritten.discard(key)
            try:
                stream.write(data)
                stream.flush()
            except OSError:
                # The end of the line did not get through, so that nobody can have acted on it.
                self.unwritten.add(key)
                break
        with suppress(OSError):
            stream.close()

    def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        for line in stream:
            self.heard, self.asked = time.monotonic(), None
            try:
                message = json.loads(line)
            except ValueError:
                continue  # half a line of a worker that was killed
            if isinstance(message, dict):
                self._hear(self, message)
        self.dead = True
        self._queue.put(None)
        stream.close()
        self.process.wait()
        self._gone(self)
