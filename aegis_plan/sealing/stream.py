"""Authenticated encryption of a stream in the format AES256_GCM_HKDF_1MB of the Tink library.

It never releases a byte of a segment that did not verify, and it notices a stream that was cut, extended or reordered.
"""

from __future__ import annotations

import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from aegis_plan.errors import DamageError

SEGMENT = 1 << 20
"""Bytes of a sealed segment; the first one counts the header in."""
HEADER = 40
TAG = 16
_SALT, _PREFIX = 32, 7
MOST_SEGMENTS = 1 << 32


def _cipher(secret: bytes, salt: bytes, associated: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=associated).derive(secret))


def _nonce(prefix: bytes, index: int, last: bool) -> bytes:
    return prefix + struct.pack(">IB", index, last)


def segments_of(sealed: int) -> int:
    """How many segments a stream of `sealed` bytes, header included, has."""
    return max(1, -(-sealed // SEGMENT))


class StreamWriter:
    """Seals one stream; `header` precedes what `update` and `finish` return."""

    def __init__(self, secret: bytes, associated: bytes) -> None:
        salt, self._prefix = os.urandom(_SALT), os.urandom(_PREFIX)
        self.header = bytes([HEADER]) + salt + self._prefix
        self._cipher = _cipher(secret, salt, associated)
        self._waiting = bytearray()
        self._index = 0
        self._room = SEGMENT - HEADER - TAG

    def update(self, plain: bytes) -> bytes:
        """Takes plain bytes, gives the sealed segments that are full."""
        self._waiting += plain
        done = []
        # A full segment waits until more comes: only then is it known not to be the last.
        while len(self._waiting) > self._room:
            with memoryview(self._waiting) as view, view[: self._room] as part:
                done.append(self._seal(part, False))
            del self._waiting[: self._room]
            self._room = SEGMENT - TAG
        return b"".join(done)

    def finish(self) -> bytes:
        """The last segment, which marks the end."""
        return self._seal(bytes(self._waiting), True)

    def _seal(self, plain: bytes | memoryview, last: bool) -> bytes:
        if self._index >= MOST_SEGMENTS:
            raise OverflowError("a stream of more than 2^32 segments")
        sealed = self._cipher.encrypt(_nonce(self._prefix, self._index, last), plain, None)
        self._index += 1
        return sealed


class SegmentReader:
    """Opens single segments of one stream, in any order, once its header is there."""

    def __init__(self, secret: bytes, associated: bytes, header: bytes) -> None:
        if len(header) != HEADER or header[0] != HEADER:
            raise damaged("its stream header is not one")
        self._cipher = _cipher(secret, header[1 : 1 + _SALT], associated)
        self._prefix = header[1 + _SALT :]

    def open(self, index: int, sealed: bytes | memoryview, last: bool) -> bytes:
        """The plain bytes of segment `index`; the first one is given without the header.

        Raises DamageError `seal-broken`."""
        try:
            return self._cipher.decrypt(_nonce(self._prefix, index, last), sealed, None)
        except (InvalidTag, ValueError):
            raise damaged(f"segment {index}{', the last,' if last else ''} does not verify") from None


class StreamReader:
    """Opens one stream from its beginning."""

    def __init__(self, secret: bytes, associated: bytes) -> None:
        self._secret, self._associated = secret, associated
        self._waiting = bytearray()
        self._reader: SegmentReader | None = None
        self._index = 0
        self._room = SEGMENT - HEADER

    def update(self, sealed: bytes) -> bytes:
        """Takes sealed bytes, header first, and gives the plain bytes of the segments that verified."""
        self._waiting += sealed
        if self._reader is None:
            if len(self._waiting) < HEADER:
                return b""
            self._reader = SegmentReader(self._secret, self._associated, bytes(self._waiting[:HEADER]))
            del self._waiting[:HEADER]
        done = []
        while len(self._waiting) > self._room:
            done.append(self._reader.open(self._index, bytes(self._waiting[: self._room]), False))
            del self._waiting[: self._room]
            self._index += 1
            self._room = SEGMENT
        return b"".join(done)

    def finish(self) -> bytes:
        """The plain bytes of the last segment. Raises DamageError `seal-broken` when the end is not the end."""
        if self._reader is None:
            raise damaged("it ends inside its header")
        return self._reader.open(self._index, bytes(self._waiting), True)


def damaged(detail: str) -> DamageError:
    """The error of sealed bytes that are not what was sealed."""
    return DamageError(
        "seal-broken",
        "sealed bytes are not what was sealed",
        detail,
        "the bytes were cut, changed or mixed up, or the key belongs to another object; read another copy",
    )
