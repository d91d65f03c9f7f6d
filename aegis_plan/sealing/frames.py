"""Sealed objects: plain bytes -> independent zstd frames -> encrypted stream behind a small readable header.

Compression, hashing and encryption overlap on a few threads that end with the object; memory is bounded by a handful
of frames.
"""

from __future__ import annotations

import hashlib
import struct
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import zstandard

from aegis_plan.errors import DamageError
from aegis_plan.sealing.canonical import canonical
from aegis_plan.sealing.stream import HEADER, StreamReader, StreamWriter, damaged

MAGIC = b"AEGIS1"
FORMAT = 1
OLDEST_READER = 1
FRAME = 8 << 20
"""Most plain bytes of one zstd frame that is read."""
PACK = 2 << 20
"""Plain bytes of one zstd frame that is written: the window of level 3, so that longer frames would not be smaller, and
short enough that what is under way stays near the caches."""
_MOST_SEALED_FRAME = FRAME + (1 << 17)
_LONGEST_HEADER = 18
_DEPTH = 4
"""Frames that are compressed ahead; each costs up to two frames of memory."""
_own = threading.local()
"""One compressor a thread and level: a new one each time would take and clear its tables anew."""


@dataclass(frozen=True)
class Frame:
    """Where one zstd frame lies: in the plain bytes, and in the compressed bytes before encryption."""

    plain: int
    plain_size: int
    packed: int
    packed_size: int


def header(key: str) -> bytes:
    """The immutable header of the object at `key`, which is authenticated with every byte of it."""
    return canonical(
        {
            "cipher": "AES256_GCM_HKDF_1MB",
            "compression": "zstd",
            "format": FORMAT,
            "key": key,
            "oldest_reader": OLDEST_READER,
        }
    )


def preamble(head: bytes) -> bytes:
    """What precedes the encrypted stream in an object: magic, length of the header (4 bytes, big-endian), header."""
    return MAGIC + struct.pack(">I", len(head)) + head


class Sealer:
    """Seals one object. `update` and `finish` give its bytes; the figures stand in the attributes after `finish`."""

    def __init__(self, head: bytes, secret: bytes, level: int) -> None:
        self._level = level
        self._writer = StreamWriter(secret, head)
        self._waiting: list[bytes | memoryview] = []
        self._waits = 0
        self._plain_hash, self._sealed_hash = hashlib.sha256(), hashlib.sha256()
        self._pool: ThreadPoolExecutor | None = None
        self._hasher: ThreadPoolExecutor | None = None
        self._ahead: deque[tuple[int, Future[bytes]]] = deque()
        self._hashes: deque[Future[None]] = deque()
        self._begin: bytes = preamble(head) + self._writer.header
        self._packed = 0
        self.plain_size = 0
        self.plain_sha256 = ""
        self.sealed_size = 0
        self.sealed_sha256 = ""
        self.sealed_crc32 = ""
        self._crc = 0
        self.frames: tuple[Frame, ...] = ()
        self._found: list[Frame] = []

    def update(self, plain: bytes) -> bytes:
        """Takes plain bytes of any length, gives the sealed bytes that are ready."""
        self._waiting.append(plain)
        self._waits += len(plain)
        if self._waits < PACK:
            return b""
        whole = memoryview(b"".join(self._waiting) if len(self._waiting) > 1 else plain)
        rest = len(whole) // PACK * PACK
        # The rest is copied, so that it does not keep the whole alive.
        self._waiting, self._waits = [bytes(whole[rest:])], len(whole) - rest
        if self._pool is None or self._hasher is None:
            self._pool = ThreadPoolExecutor(2, thread_name_prefix="pack")
            self._hasher = ThreadPoolExecutor(1, thread_name_prefix="hash")
        out = []
        for begin in range(0, rest, PACK):
            frame = whole[begin : begin + PACK]
            self._ahead.append((PACK, self._pool.submit(self._pack, frame)))
            self._hashes.append(self._hasher.submit(self._plain_hash.update, frame))
            while len(self._ahead) > _DEPTH:
                out.append(self._next())
            while len(self._hashes) > _DEPTH:
                self._hashes.popleft().result()
        return b"".join(out)

    def finish(self) -> bytes:
        """The rest of the sealed bytes."""
        out = []
        try:
            while self._ahead:
                out.append(self._next())
            while self._hashes:
                self._hashes.popleft().result()
        finally:
            self.close()
        rest = b"".join(self._waiting)
        self._waiting.clear()
        if rest or not self._found:
            self._plain_hash.update(rest)
            out.append(self._take(len(rest), self._pack(rest)))
        out.append(self._emit(self._writer.finish()))
        self.plain_sha256, self.sealed_sha256 = self._plain_hash.hexdigest(), self._sealed_hash.hexdigest()
        self.sealed_crc32 = f"{self._crc:08x}"
        self.frames = tuple(self._found)
        return b"".join(out)

    def close(self) -> None:
        """Ends the threads; for an object that is given up half-way. Harmless otherwise."""
        for pool in (self._pool, self._hasher):
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._hasher = None

    def _pack(self, plain: bytes | memoryview) -> bytes:
        known: dict[int, zstandard.ZstdCompressor] = _own.__dict__.setdefault("compressors", {})
        if self._level not in known:
            known[self._level] = zstandard.ZstdCompressor(level=self._level, write_content_size=True)
        return known[self._level].compress(plain)

    def _next(self) -> bytes:
        size, packed = self._ahead.popleft()
        return self._take(size, packed.result())

    def _take(self, size: int, packed: bytes) -> bytes:
        self._found.append(Frame(self.plain_size, size, self._packed, len(packed)))
        self.plain_size += size
        self._packed += len(packed)
        return self._emit(self._writer.update(packed))

    def _emit(self, sealed: bytes) -> bytes:
        whole = self._begin + sealed if self._begin else sealed
        self._begin = b""
        self._sealed_hash.update(whole)
        self._crc = zlib.crc32(whole, self._crc)
        self.sealed_size += len(whole)
        return whole


class Unpacker:
    """Takes zstd frames that follow one another, in pieces of any size, and gives their plain bytes frame by frame.

    It takes no more memory than one frame says it needs, and no frame may say more than `FRAME`."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._zstd = zstandard.ZstdDecompressor(max_window_size=FRAME)
        self.frames = 0

    def update(self, packed: bytes) -> bytes:
        """The plain bytes of the frames that are whole. Raises DamageError `seal-broken`."""
        return b"".join(self.each(packed))

    def each(self, packed: bytes) -> Iterator[bytes]:
        """The same frame by frame, so that a little that unpacks to much is never held at once. To be read to its
        end before more is given."""
        whole = bytes(self._waiting) + packed if self._waiting else packed
        self._waiting.clear()
        begin = 0
        while begin < len(whole):
            size = _frame_size(whole, begin)
            if size is None:
                if len(whole) - begin > _MOST_SEALED_FRAME:
                    raise damaged("a zstd frame is longer than allowed")
                break
            yield self._unpack(memoryview(whole)[begin : begin + size])
            begin += size
        self._waiting += memoryview(whole)[begin:]

    def finish(self) -> None:
        """Raises DamageError `seal-broken` when a frame is not whole."""
        if self._waiting or not self.frames:
            raise damaged("it ends inside a zstd frame")

    def _unpack(self, frame: memoryview) -> bytes:
        try:
            content = zstandard.get_frame_parameters(frame[:_LONGEST_HEADER]).content_size
            if content > FRAME:
                raise damaged("a zstd frame does not say its size or says more than allowed")
            plain: bytes = self._zstd.decompress(frame, max_output_size=FRAME) if content else b""
        except zstandard.ZstdError:
            raise damaged("a zstd frame cannot be decompressed") from None
        if len(plain) != content:
            raise damaged("a zstd frame holds another number of bytes than it says")
        self.frames += 1
        return plain


def _frame_size(data: bytes, begin: int) -> int | None:
    """Length of the zstd frame at `begin`, found by walking its blocks, or None when it is not all there."""
    try:
        place = begin + int(zstandard.frame_header_size(data[begin : begin + _LONGEST_HEADER]))
        checksum = 4 if data[begin + 4] & 0x04 else 0
    except zstandard.ZstdError:
        if len(data) - begin < _LONGEST_HEADER:
            return None
        raise damaged("a zstd frame has no header") from None
    while True:
        if place + 3 > len(data):
            return None
        block = int.from_bytes(data[place : place + 3], "little")
        kind = (block >> 1) & 3
        place += 3 + (1 if kind == 1 else block >> 3)
        if block & 1:
            place += checksum
            return place - begin if place <= len(data) else None


class Opener:
    """Opens one sealed object from its first byte to its last."""

    def __init__(self, head: bytes, secret: bytes) -> None:
        self._expected = preamble(head)
        self._seen = bytearray()
        self._reader = StreamReader(secret, head)
        self._unpacker = Unpacker()

    def update(self, sealed: bytes) -> bytes:
        """Takes sealed bytes, gives plain ones that verified. Raises DamageError."""
        if len(self._seen) < len(self._expected):
            wanted = len(self._expected) - len(self._seen)
            self._seen += sealed[:wanted]
            sealed = sealed[wanted:]
            if bytes(self._seen) != self._expected[: len(self._seen)]:
                raise not_sealed()
        return self._unpacker.update(self._reader.update(sealed)) if sealed else b""

    def finish(self) -> bytes:
        """The rest of the plain bytes. Raises DamageError when the object was cut."""
        if len(self._seen) < len(self._expected):
            raise not_sealed()
        rest = self._unpacker.update(self._reader.finish())
        self._unpacker.finish()
        return rest


def not_sealed() -> DamageError:
    """The error of an object that does not begin as a sealed object of its key must."""
    return DamageError(
        "not-sealed",
        "an object is not the sealed object that belongs here",
        "it does not begin with the header of its own key",
        "it was damaged, replaced or moved; read another copy",
    )


def stream_offset(head: bytes) -> int:
    """Where the encrypted stream begins in the object."""
    return len(preamble(head))


__all__ = [
    "FRAME",
    "HEADER",
    "MAGIC",
    "PACK",
    "Frame",
    "Opener",
    "Sealer",
    "Unpacker",
    "header",
    "preamble",
    "stream_offset",
]
