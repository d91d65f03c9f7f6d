"""One object on its way into a storage service: in one request when it is small, else in growing parts sent by a few
threads. It knows no service; what one is told is its `Parts`. Nothing becomes visible before all parts are there.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import time
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from aegis_plan.errors import AegisError, DamageError, UnavailableError
from aegis_plan.repositories.contract import Head

T = TypeVar("T")
THREADS = 6
"""Parts under way at once; each costs its size in memory. Six of 8 MiB carry as much as `aws s3 cp` does."""
ATTEMPTS = 7
FIRST_WAIT = 0.25
"""Seconds before the second attempt; doubles, so that an outage of about 15 s is outlived."""


@dataclass(frozen=True)
class Sums:
    """What all bytes of an object come to."""

    size: int
    sha256: str
    crc32: str


class Parts(Protocol):
    """How one service takes one object. Every method may be called again after an error that passes."""

    name: str
    """Of the repository."""
    part_size: int
    """Of the first parts."""
    grow_every: int
    """Parts after which their size doubles, so that the most that a service allows hold its largest object."""

    largest_part: int
    """The most that the service takes."""

    def whole(self, data: bytes) -> Head:
        """All of a small object, as `Repository.put`."""

    def begin(self) -> None:
        """Called before the first part."""

    def part(self, number: int, data: bytes) -> Any:
        """Sends one part, counted from 1, and returns what `complete` needs of it."""

    def complete(self, parts: list[Any], sums: Sums) -> Head:
        """Makes the object visible and proves it, as `Upload.commit`."""

    def discard(self) -> None:
        """Forgets what was sent; raises nothing."""


def part_size(wire: Parts, count: int) -> int:
    """Size of the part after `count` others."""
    return min(wire.part_size << min(count // wire.grow_every, 64), wire.largest_part)


class PartedUpload:
    """See `contract.Upload`."""

    def __init__(self, wire: Parts, key: str) -> None:
        self._wire, self._key = wire, key
        self._waiting = bytearray()
        self._digest = hashlib.sha256()
        self._crc = 0
        self._size = 0
        self._begun = False
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: deque[Future[Any]] = deque()
        self._parts: list[Any] = []
        self._count = 0
        self._over = False
        self._completed = False

    @property
    def _part_size(self) -> int:
        return part_size(self._wire, self._count)

    def write(self, part: bytes) -> None:
        self._digest.update(part)
        self._crc = zlib.crc32(part, self._crc)
        self._size += len(part)
        self._waiting += part
        # What would fill exactly one part waits, so that a small object goes in one request.
        while len(self._waiting) > self._part_size:
            size = self._part_size
            self._send(bytes(memoryview(self._waiting)[:size]))
            del self._waiting[:size]

    def commit(self, sha256: str) -> Head:
        try:
            if self._digest.hexdigest() != sha256:
                raise DamageError(
                    "arrived-damaged",
                    "what arrived in a repository is not what was sent",
                    f"{self._wire.name}: {self._key}",
                    "try again; if it repeats, test the machine's memory",
                )
            if not self._begun:
                data = bytes(self._waiting)
                return again(lambda: self._wire.whole(data))
            if self._waiting:
                self._send(bytes(self._waiting))
                self._waiting.clear()
            while self._under_way:
                self._parts.append(self._under_way.popleft().result())
            sums = Sums(self._size, sha256, f"{self._crc:08x}")
            head = again(lambda: self._wire.complete(self._parts, sums))
            self._completed = True
            return head
        finally:
            self.abort()

    def abort(self) -> None:
        if self._over:
            return
        self._over = True
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        if self._begun and not self._completed:
            with contextlib.suppress(AegisError):
                self._wire.discard()
        self._waiting.clear()

    def _send(self, data: bytes) -> None:
        if not self._begun:
            again(self._wire.begin)
            self._begun = True
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="part")
        while len(self._under_way) >= THREADS:
            self._parts.append(self._under_way.popleft().result())
        self._count += 1
        number = self._count
        if self._pool is None:
            raise _given_up(self._key)
        self._under_way.append(self._pool.submit(lambda: again(lambda: self._part(number, data), lambda: self._over)))

    def _part(self, number: int, data: bytes) -> Any:
        if self._over:
            raise _given_up(self._key)
        return self._wire.part(number, data)


def again(ask: Callable[[], T], over: Callable[[], bool] = lambda: False) -> T:
    """Tries a request of which trying twice does no harm, until it works or was tried often enough."""
    attempt = 0
    while True:
        try:
            return ask()
        except (UnavailableError, DamageError) as error:
            attempt += 1
            passing = isinstance(error, UnavailableError) or error.code == "arrived-damaged"
            if attempt >= ATTEMPTS or over() or not passing or error.code == "repository-full":
                raise
        time.sleep(FIRST_WAIT * 2 ** (attempt - 1) * (0.5 + random.random()))


def _given_up(key: str) -> AegisError:
    return AegisError("upload-over", "an upload was given up", key, "this follows from an earlier failure")
