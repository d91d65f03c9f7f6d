"""Feeds and reads one program until it ends, keeping no more than the last bytes of what it says."""

from __future__ import annotations

import os
import selectors
import subprocess
from collections import deque
from contextlib import suppress

KEEP_BYTES = 16 << 20
"""Of each output stream the last so many bytes are kept."""


class Talk:
    """`process` has pipes for input, output and error output; `feed` is written to its input, which is then closed."""

    def __init__(self, process: subprocess.Popen[bytes], feed: bytes) -> None:
        self.process, self.feed = process, memoryview(feed)
        self.kept: dict[str, deque[bytes]] = {"out": deque(), "err": deque()}
        self.sizes = {"out": 0, "err": 0}
        self.selector = selectors.DefaultSelector()
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for stream, event, name in (
            (process.stdin, selectors.EVENT_WRITE, "in"),
            (process.stdout, selectors.EVENT_READ, "out"),
            (process.stderr, selectors.EVENT_READ, "err"),
        ):
            os.set_blocking(stream.fileno(), False)
            self.selector.register(stream, event, name)
        # Wakes at the program's end even when somebody it left behind keeps its output open.
        self.ended = os.pidfd_open(process.pid) if hasattr(os, "pidfd_open") else -1
        if self.ended >= 0:
            self.selector.register(self.ended, selectors.EVENT_READ, "end")

    def step(self) -> bool:
        """Waits a moment for something to do; True once the program ended and its output was taken."""
        gone = self.process.poll() is not None
        for key, _ in self.selector.select(0 if gone else (0.1 if self.ended >= 0 else 0.02)):
            if key.data == "in":
                self._write()
            elif key.data != "end":
                while self._read(key.data, key.fd):
                    pass
        return gone

    def _write(self) -> None:
        stream = self.process.stdin
        assert stream is not None
        try:
            self.feed = self.feed[os.write(stream.fileno(), self.feed[:65536]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.feed = self.feed[:0]
        if not self.feed:
            self.selector.unregister(stream)
            stream.close()

    def _read(self, name: str, fd: int) -> bool:
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return False
        if not data:
            with suppress(KeyError):
                self.selector.unregister(fd)
            return False
        kept = self.kept[name]
        kept.append(data)
        self.sizes[name] += len(data)
        while self.sizes[name] - len(kept[0]) >= KEEP_BYTES:
            self.sizes[name] -= len(kept.popleft())
        return True

    def out(self) -> bytes:
        return b"".join(self.kept["out"])[-KEEP_BYTES:]

    def err(self) -> bytes:
        return b"".join(self.kept["err"])[-KEEP_BYTES:]

    def close(self) -> None:
        self.selector.close()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        if self.ended >= 0:
            os.close(self.ended)
