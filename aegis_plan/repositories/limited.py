"""A wrapper that keeps what is written to a repository below a number of bytes a second. Reading is never slowed: who
reads back is in a hurry."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime

from aegis_plan.repositories.contract import Head, Listed, Repository, Upload

_BURST = 1.0
"""Seconds that may be caught up after a pause."""
_STEP = 64 << 10
"""Bytes that pass at once."""


class Limited:
    """Another repository, written to at most at `rate` bytes a second by all uploads together."""

    def __init__(self, inner: Repository, rate: int) -> None:
        self._inner, self._rate = inner, rate
        self._lock = threading.Lock()
        self._free_at = 0.0
        self.name = inner.name

    def take(self, size: int) -> None:
        """Waits until so many bytes may pass."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now - _BURST) + size / self._rate
            ahead = self._free_at - now
        if ahead > 0:
            time.sleep(ahead)

    def open(self, key: str) -> Upload:
        return _LimitedUpload(self, self._inner.open(key))

    def put(self, key: str, data: bytes) -> Head:
        self.take(len(data))
        return self._inner.put(key, data)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        return self._inner.get(key, offset, length)

    def head(self, key: str) -> Head | None:
        return self._inner.head(key)

    def listing(self, prefix: str) -> Iterator[Listed]:
        return self._inner.listing(prefix)

    def folders(self, prefix: str) -> tuple[str, ...]:
        return self._inner.folders(prefix)

    def delete(self, key: str) -> None:
        self._inner.delete(key)

    def compare_and_set(self, key: str, expected: str | None, data: bytes) -> str:
        return self._inner.compare_and_set(key, expected, data)

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        return self._inner.read_tagged(key)

    def sweep(self, prefix: str, older_than_seconds: float) -> list[str]:
        return self._inner.sweep(prefix, older_than_seconds)

    def keep(self, key: str, until: datetime) -> None:
        self._inner.keep(key, until)

    def tampered(self, prefix: str) -> Iterator[tuple[str, str]]:
        return self._inner.tampered(prefix)

    def writer_may_delete(self, key: str) -> bool | None:
        return self._inner.writer_may_delete(key)

    def close(self) -> None:
        self._inner.close()


class _LimitedUpload:
    def __init__(self, limit: Limited, inner: Upload) -> None:
        self._limit, self._inner = limit, inner

    def write(self, part: bytes) -> None:
        for begin in range(0, len(part), _STEP):
            piece = part[begin : begin + _STEP]
            self._limit.take(len(piece))
            self._inner.write(piece)

    def commit(self, sha256: str) -> Head:
        return self._inner.commit(sha256)

    def abort(self) -> None:
        self._inner.abort()
