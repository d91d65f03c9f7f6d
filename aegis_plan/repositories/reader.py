"""Reads sealed objects back from whichever copy verifies, piece by piece. Plain bytes are given out only after the
segment that holds them verified; damage is reported, never passed over in silence.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from aegis_plan.catalog.record import StoredObject
from aegis_plan.errors import AegisError, DamageError, UnavailableError
from aegis_plan.repositories.contract import Repository
from aegis_plan.sealing.frames import Unpacker, header, not_sealed, preamble
from aegis_plan.sealing.keys import object_key
from aegis_plan.sealing.stream import HEADER, SEGMENT, SegmentReader, damaged, segments_of

SPAN = 2
"""Segments of one ranged read."""
AHEAD = 3
"""Ranged reads under way before they are needed."""

Noted = list[tuple[str, AegisError]]


def open_object(
    repositories: Mapping[str, Repository],
    stored: StoredObject,
    secret: bytes,
    *,
    damage: Callable[[str, str], None],
) -> Iterator[bytes]:
    """The plain bytes of one object. `secret` is the half of the set's data key that it was sealed with.

    Repositories are tried in their order; what is damaged, short or missing in one is told by `damage(repository,
    what)` and read from the next. Raises DamageError `object-damaged-everywhere`, or UnavailableError
    `object-unreachable` when no repository answered.

    What the record promises is held against the sealed bytes, which are fewer than the plain ones and give only these;
    a key of somebody else's that opens his own segments is found out by it, so nothing may be used before the end."""
    source = _Source(repositories, stored, secret)
    unpacker = Unpacker()
    digest, size = hashlib.sha256(), 0
    told: set[tuple[str, str]] = set()

    def tell(noted: Noted) -> None:
        for name, error in noted:
            if (name, error.code) not in told:
                told.add((name, error.code))
                damage(name, f"{stored.key}: {error.summary}: {error.detail}")

    spans = range(0, source.segments, SPAN)
    pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="fetch")
    try:
        under_way: deque[Future[_Span]] = deque()
        # The first range carries the stream's header, which all others need.
        span = source.fetch(0)
        tell(span.noted)
        waiting = iter(spans[1:])
        for first in [*_take(waiting, AHEAD)]:
            under_way.append(pool.submit(source.fetch, first))
        while True:
            digest.update(span.sealed)
            for plain in unpacker.each(span.packed):
                size += len(plain)
                yield plain
            if not under_way:
                break
            span = under_way.popleft().result()
            tell(span.noted)
            for first in _take(waiting, 1):
                under_way.append(pool.submit(source.fetch, first))
        unpacker.finish()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if size != stored.plain_size or digest.hexdigest() != stored.sealed_sha256:
        raise _everywhere(stored, [("all", damaged("the bytes are not those that its record names"))])


class _Span(NamedTuple):
    """Some segments of an object."""

    sealed: bytes
    """As they lie in the repository, the first with all that stands before it."""
    packed: bytes
    """Opened, and still compressed."""
    noted: Noted
    """What was wrong on the way."""


class _Source:
    """Ranged reads of one object from the first copy that verifies. Used from several threads."""

    def __init__(self, repositories: Mapping[str, Repository], stored: StoredObject, secret: bytes) -> None:
        self._repositories = dict(repositories)
        self._stored = stored
        self._head = header(stored.key)
        self._secret = object_key(secret, stored.key)
        self._front = preamble(self._head)
        self._reader: SegmentReader | None = None
        self._gone: set[str] = set()
        self._stream = stored.sealed_size - len(self._front)
        self.segments = segments_of(self._stream)

    def fetch(self, first: int) -> _Span:
        """`SPAN` segments from `first`. Raises as `open_object`."""
        noted: Noted = []
        # Copies that did not answer before come last, so that one dead repository does not cost a wait each time.
        for name in sorted(self._repositories, key=lambda name: name in self._gone):
            try:
                return _Span(*self._from(self._repositories[name], first), noted)
            except AegisError as error:
                if not isinstance(error, DamageError):
                    self._gone.add(name)
                noted.append((name, error))
        raise _everywhere(self._stored, noted)

    def _from(self, repository: Repository, first: int) -> tuple[bytes, bytes]:
        last = min(first + SPAN, self.segments)
        begin = 0 if first == 0 else len(self._front) + first * SEGMENT
        end = min(len(self._front) + last * SEGMENT, self._stored.sealed_size)
        raw = b"".join(repository.get(self._stored.key, begin, end - begin))
        reader, place = self._reader, 0
        if first == 0:
            place = len(self._front)
            if not raw.startswith(self._front):
                raise not_sealed()
            reader = SegmentReader(self._secret, self._head, raw[place : place + HEADER])
            place += HEADER
        if reader is None:
            raise damaged("its beginning was not read")
        out, view = [], memoryview(raw)
        for index in range(first, last):
            size = SEGMENT - HEADER if index == 0 else SEGMENT
            out.append(reader.open(index, view[place : place + size], index == self.segments - 1))
            place += size
        self._reader = reader
        return raw, b"".join(out)


def _take(source: Iterator[int], count: int) -> Iterator[int]:
    for _ in range(count):
        found = next(source, None)
        if found is None:
            return
        yield found


def _everywhere(stored: StoredObject, noted: Noted) -> AegisError:
    reasons = "; ".join(f"{name}: {error.summary}: {error.detail}" for name, error in noted) or "no repository is given"
    if all(isinstance(error, UnavailableError) and error.code != "short-read" for _, error in noted):
        return UnavailableError(
            "object-unreachable",
            "no repository that holds an object can be reached",
            f"{stored.key}: {reasons}",
            "bring back a repository; nothing says that the object is damaged",
        )
    return DamageError(
        "object-damaged-everywhere",
        "an object is damaged or missing in every repository",
        f"{stored.key}: {reasons}",
        "restore from another set; `aegis catalog` shows which are whole",
    )


def read_object(
    repositories: Mapping[str, Repository],
    stored: StoredObject,
    secret: bytes,
    *,
    damage: Callable[[str, str], None],
) -> bytes:
    """The whole of a small object."""
    return b"".join(open_object(repositories, stored, secret, damage=damage))
