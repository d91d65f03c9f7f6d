"""A wrapper that tries again when a repository does not answer, a bounded number of times. It never retries a refusal,
damage or a conditional write."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TypeVar

from aegis_plan.errors import UnavailableError
from aegis_plan.repositories.contract import Head, Listed, Repository, Upload

T = TypeVar("T")
ATTEMPTS = 4
FIRST_WAIT = 0.25
_LASTING = {"repository-full", "short-read"}
"""Codes of UnavailableError that waiting a few seconds does not change."""


class Retrying:
    """Another repository, asked again with growing waits: at most `attempts` times, about 2 s of waiting in all."""

    def __init__(
        self,
        inner: Repository,
        attempts: int = ATTEMPTS,
        wait: float = FIRST_WAIT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.inner = inner
        self._attempts, self._wait, self._sleep = attempts, wait, sleep
        self.name = inner.name

    def open(self, key: str) -> Upload:
        """Parts are retried by the upload itself, which alone still has their bytes."""
        return self._again(lambda: self.inner.open(key))

    def put(self, key: str, data: bytes) -> Head:
        return self._again(lambda: self.inner.put(key, data))

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Goes on where the last answer broke off."""
        given = 0
        attempt = 0
        while True:
            left = None if length is None else length - given
            if left == 0:
                return
            try:
                for piece in self.inner.get(key, offset + given, left):
                    given += len(piece)
                    attempt = 0
                    yield piece
            except UnavailableError as error:
                attempt += 1
                if attempt >= self._attempts or error.code in _LASTING:
                    raise
                self._pause(attempt)
            else:
                return

    def head(self, key: str) -> Head | None:
        return self._again(lambda: self.inner.head(key))

    def listing(self, prefix: str) -> Iterator[Listed]:
        """Read as a whole, because half a listing that begins anew could name a key twice."""
        return iter(self._again(lambda: list(self.inner.listing(prefix))))

    def folders(self, prefix: str) -> tuple[str, ...]:
        return self._again(lambda: self.inner.folders(prefix))

    def delete(self, key: str) -> None:
        self._again(lambda: self.inner.delete(key))

    def compare_and_set(self, key: str, expected: str | None, data: bytes) -> str:
        return self.inner.compare_and_set(key, expected, data)

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        return self._again(lambda: self.inner.read_tagged(key))

    def sweep(self, prefix: str, older_than_seconds: float) -> list[str]:
        return self._again(lambda: self.inner.sweep(prefix, older_than_seconds))

    def keep(self, key: str, until: datetime) -> None:
        self._again(lambda: self.inner.keep(key, until))

    def tampered(self, prefix: str) -> Iterator[tuple[str, str]]:
        return iter(self._again(lambda: list(self.inner.tampered(prefix))))

    def writer_may_delete(self, key: str) -> bool | None:
        return self._again(lambda: self.inner.writer_may_delete(key))

    def close(self) -> None:
        self.inner.close()

    def _again(self, ask: Callable[[], T]) -> T:
        attempt = 0
        while True:
            try:
                return ask()
            except UnavailableError as error:
                attempt += 1
                if attempt >= self._attempts or error.code in _LASTING:
                    raise
                self._pause(attempt)

    def _pause(self, attempt: int) -> None:
        # Jitter keeps many sites from coming back at the same instant.
        self._sleep(self._wait * 2 ** (attempt - 1) * (0.5 + random.random()))
