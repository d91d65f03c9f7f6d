"""Writes one set, or one range of a log, to all of its repositories at once in bounded memory.

Each object is sealed once. A repository that fails, or that stands still or is far slower while others could go on, is
dropped with its reason; what it holds of the set is never part of a catalog, because the record is not written there.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from aegis_plan.catalog.record import StoredObject
from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.repositories import keys
from aegis_plan.repositories.contract import Repository
from aegis_plan.repositories.uploader import Uploader
from aegis_plan.sealing.canonical import canonical
from aegis_plan.sealing.frames import Sealer, header
from aegis_plan.sealing.keys import DataKey, object_key

PART = 512 << 10
"""Bytes of one queued part."""
INDEX = "index"
INDEX_FORMAT = 1
_TICK = 0.2
SNAIL = 4
"""A repository so many times slower than the slowest of the others holds them up; healing it later from one of them
costs less. What is only slower, as a line to a cloud is than a disk, is waited for."""


@dataclass(frozen=True)
class Written:
    """A set that is complete in `copies`."""

    objects: tuple[StoredObject, ...]
    copies: tuple[str, ...]
    dropped: dict[str, str]
    """Repository to why it does not hold the set."""
    plain_bytes: int
    sealed_bytes: int


class SetWriter:
    """See the module. Used as a context manager it aborts unless `finish` was reached.

    `progress` is told the plain bytes so far. `stop` is called often and raises when the work has to end. `bandwidth`
    is in sealed bytes a second. A repository is dropped for lagging when it is `lag_parts` behind, others that
    `suffice` could go on, and it has moved nothing for `patience` seconds or, being far slower than they, held them up
    as long. The set is given up when fewer than `minimum_copies` are left."""

    def __init__(
        self,
        repositories: Mapping[str, Repository],
        *,
        system: str,
        store: str,
        lineage: str,
        root: str,
        key: DataKey,
        level: int,
        stop: Callable[[], None],
        progress: Callable[[int], None],
        bandwidth: int | None = None,
        volume_size: int = 1 << 30,
        lag_parts: int = 64,
        minimum_copies: int = 1,
        patience: float = 120.0,
        suffice: Callable[[frozenset[str]], bool] | None = None,
    ) -> None:
        self._prefix = f"{keys.lineage_root(system, store, lineage)}{root}/"
        self._indexed = root.startswith("sets/")
        self._key, self._level = key, level
        self._stop, self._progress = stop, progress
        self._bandwidth, self._volume_size = bandwidth, volume_size
        self._minimum, self._patience = max(1, minimum_copies), patience
        self._suffice = suffice or (lambda names: len(names) >= self._minimum)
        self._held_up: dict[str, float] = {}
        """Repository to the seconds that it kept all others waiting."""
        self._woken = threading.Condition()
        self._live = {
            name: Uploader(name, repository, lag_parts, self._woken) for name, repository in repositories.items()
        }
        self._dropped: dict[str, str] = {}
        self._objects: list[StoredObject] = []
        self._frames: dict[str, list[list[int]]] = {}
        self._members: dict[str, list[Any]] = {}
        self._plain = self._sealed = 0
        self._begun = time.monotonic()
        self._over = False

    def __enter__(self) -> SetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def add(
        self,
        name: str,
        chunks: Iterable[bytes],
        *,
        meta: bool = False,
        volumes: bool = True,
        members: Callable[[], Iterable[Any]] | None = None,
    ) -> None:
        """Seals and sends one stream of bytes, as `<name>.000` and on, or as `<name>` without volumes.

        `meta` seals it to what hosts can open too. `members` is asked after the last byte for what the index shall say
        of the archive. Raises UnavailableError `too-few-copies` and what `stop` raises; the set is aborted then."""
        try:
            secret = self._key.meta if meta else self._key.data
            if secret is None:
                raise AegisError(
                    "key-incomplete",
                    "a data key cannot be used without both of its halves",
                    f"the key {self._key.name} was opened with an identity that opens only one half",
                    "use an identity of a backup recipient",
                )
            if not volumes:
                self._object(name, secret, chunks)
            else:
                for number, part in enumerate(_split(chunks, self._volume_size)):
                    self._object(f"{name}.{number:03d}", secret, part)
            if members is not None:
                self._members[name] = list(members())
        except BaseException:
            self.abort()
            raise

    def finish(self) -> Written:
        """Writes the index of a set, waits until each repository holds all, and says which do.

        Raises UnavailableError `too-few-copies` and what `stop` raises; the set is aborted then."""
        try:
            if self._indexed:
                body = {
                    "format": INDEX_FORMAT,
                    "frames": self._frames,
                    "members": self._members,
                    "oldest_reader": INDEX_FORMAT,
                }
                plain = self._plain
                self.add(INDEX, [canonical(body)], volumes=False)
                self._plain = plain
            self._wait(lambda uploader: uploader.idle)
        except BaseException:
            self.abort()
            raise
        copies = tuple(self._live)
        self._end()
        return Written(tuple(self._objects), copies, dict(self._dropped), self._plain, self._sealed)

    def abort(self) -> None:
        """Gives up whatever is unfinished and ends the threads; harmless after `finish`."""
        self._end()

    def _object(self, name: str, secret: bytes, chunks: Iterable[bytes]) -> None:
        key = self._prefix + name
        sealer = Sealer(header(key), object_key(secret, key), self._level)
        self._check()
        for uploader in self._live.values():
            uploader.open(key)
        base = self._plain
        taken = 0
        try:
            for chunk in chunks:
                self._send(sealer.update(chunk))
                taken += len(chunk)
                self._progress(base + taken)
            self._send(sealer.finish())
        finally:
            sealer.close()
        for uploader in self._live.values():
            uploader.commit(sealer.sealed_sha256)
        self._plain = base + sealer.plain_size
        self._sealed += sealer.sealed_size
        self._frames[name] = [[f.plain, f.plain_size, f.packed, f.packed_size] for f in sealer.frames]
        self._objects.append(
            StoredObject(
                name=name,
                key=key,
                plain_size=sealer.plain_size,
                plain_sha256=sealer.plain_sha256,
                sealed_size=sealer.sealed_size,
                sealed_sha256=sealer.sealed_sha256,
                sealed_crc32=sealer.sealed_crc32,
            )
        )

    def _send(self, sealed: bytes) -> None:
        self._stop()
        for begin in range(0, len(sealed), PART):
            part = sealed[begin : begin + PART]
            self._wait(lambda uploader: not uploader.full)
            for uploader in self._live.values():
                uploader.part(part)
            self._throttle(len(part))

    def _wait(self, ready: Callable[[Uploader], bool]) -> None:
        """Until every live repository is ready; drops those that failed, and those that stand still."""
        since = last = time.monotonic()
        while True:
            self._stop()
            self._check()
            with self._woken:
                late = [uploader for uploader in self._live.values() if not ready(uploader)]
                if not late:
                    return
                if any(uploader.trouble for uploader in self._live.values()):
                    continue
                self._woken.wait(_TICK)
            now = time.monotonic()
            others = frozenset(self._live) - {uploader.name for uploader in late}
            if self._suffice(others):
                for uploader in late:
                    self._held_up[uploader.name] = self._held_up.get(uploader.name, 0.0) + now - last
                    if why := self._lags(uploader, others, since, now):
                        self._drop(uploader.name, why)
            last = now

    def _lags(self, uploader: Uploader, others: frozenset[str], since: float, now: float) -> str:
        """Why a repository for which others wait is dropped, or nothing."""
        still = now - max(since, uploader.moved_at)
        if still > self._patience:
            return f"lagged: took nothing for {still:.0f} s while others went on"
        held = self._held_up[uploader.name]
        with self._woken:
            pace = uploader.pace(now)
            slowest = min(self._live[name].pace(now) for name in others)
        if held > self._patience and pace * SNAIL < slowest:
            return f"lagged: it took {pace / 1024:.0f} KiB a second and held up faster ones for {held:.0f} s"
        return ""

    def _check(self) -> None:
        for name, uploader in list(self._live.items()):
            if uploader.trouble is not None:
                self._drop(name, str(uploader.trouble))
        if len(self._live) < self._minimum:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(self._dropped.items()))
            raise UnavailableError(
                "too-few-copies",
                "fewer repositories than required can take the backup",
                f"{len(self._live)} of at least {self._minimum} are left. {reasons}",
                "repair a repository, or lower sealing.minimum_copies",
            )

    def _drop(self, name: str, reason: str) -> None:
        uploader = self._live.pop(name)
        self._dropped[name] = reason
        uploader.end(wait=0.5)

    def _throttle(self, size: int) -> None:
        if not self._bandwidth:
            return
        self._begun = max(self._begun, time.monotonic() - 1.0) + size / self._bandwidth
        while (ahead := self._begun - time.monotonic()) > 0:
            self._stop()
            time.sleep(min(_TICK, ahead))

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        for uploader in self._live.values():
            with contextlib.suppress(RuntimeError):
                uploader.end(wait=30.0)


def _split(chunks: Iterable[bytes], size: int) -> Iterator[Iterator[bytes]]:
    """The same bytes as streams of at most `size` bytes, at least one; each is read before the next is asked for."""
    source = iter(chunks)
    rest: list[bytes] = []
    ended = False

    def volume() -> Iterator[bytes]:
        nonlocal ended
        room = size
        while room:
            if rest:
                chunk = rest.pop()
            else:
                found = next(source, None)
                if found is None:
                    ended = True
                    return
                chunk = found
            if len(chunk) > room:
                rest.append(chunk[room:])
                chunk = chunk[:room]
            room -= len(chunk)
            yield chunk

    def more() -> bool:
        # A volume begins only when there is a byte for it.
        nonlocal ended
        while not rest and not ended:
            chunk = next(source, None)
            if chunk is None:
                ended = True
            elif chunk:
                rest.append(chunk)
        return bool(rest)

    yield volume()
    while more():
        yield volume()
