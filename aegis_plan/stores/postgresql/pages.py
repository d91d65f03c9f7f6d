"""Hashes of the pages of a backup, and the archive that holds only those pages whose hash is another than in the set
before. It asks nothing of the server but a full, and keeps neither an archive nor a file in memory.

What changed is written as PostgreSQL writes its own incremental files, a run of pages each, so that one file may come
as several of them; a file of which nothing changed comes as one without pages. Whatever is no file of whole pages
comes whole.
"""

from __future__ import annotations

import re
import struct
import tempfile
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import IO

from aegis_plan.errors import AegisError, DamageError
from aegis_plan.stores.postgresql.incremental import MAGIC, MOST_BYTES, PREFIX, holds_incrementals
from aegis_plan.stores.postgresql.unpack import Feed, Member, read_header

NAME = "pages"
"""The object of a set that holds the hashes of its pages."""
HASH = 16
"""Bytes of a hash: of a SHA-256, so that nobody who writes into the database finds two pages that look the same."""
BATCH = 512
"""Pages that are held at a time."""
_HEAD = struct.Struct("<8sI")
_FILE = struct.Struct("<HI")
_MAGIC = b"AEGPAGE1"
_BLOCK = 512
_RELATION = re.compile(r"[0-9]+(_[a-z]+)?(\.[0-9]+)?")


class Pages:
    """The hashes of a set on their way from it or to it: on the disk, in a file without a name."""

    def __init__(self, folder: Path, block_size: int) -> None:
        self.block_size, self._folder = block_size, folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise self._unusable(error) from None
        self._at: dict[str, tuple[int, int]] = {}
        """Path to where its hashes begin and how many there are."""
        self.write(_HEAD.pack(_MAGIC, block_size))

    def close(self) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._at)

    def begin(self, path: str, count: int) -> None:
        """The next `count` hashes are of the file at `path`."""
        name = path.encode("utf-8", "surrogateescape")
        self.write(_FILE.pack(len(name), count) + name)
        self._at[path] = self._file.tell(), count

    def write(self, hashes: bytes) -> None:
        """Raises AegisError `site-folder-unusable`."""
        try:
            self._file.write(hashes)
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError) -> AegisError:
        return AegisError(
            "site-folder-unusable",
            "the site's folder cannot be used",
            f"{self._folder}: {error.strerror}",
            "see that the disk has room and is writable; hashes of pages take 2 MiB for 1 GiB of data",
        )

    def of(self, path: str) -> bytes | None:
        """The hashes of a file; None where the set has none of it."""
        if path not in self._at:
            return None
        begin, count = self._at[path]
        self._file.seek(begin)
        return self._file.read(count * HASH)

    def chunks(self) -> Iterator[bytes]:
        """Everything, to be put into the set."""
        self._file.seek(0)
        while chunk := self._file.read(1 << 18):
            yield chunk


def read_pages(chunks: Iterable[bytes], folder: Path) -> Pages:
    """The hashes as a set holds them. Raises DamageError `pages-damaged`."""
    feed = Feed(iter(chunks), lambda _count: None)
    try:
        magic, block_size = _HEAD.unpack(feed.exactly(_HEAD.size, NAME))
        if magic != _MAGIC:
            raise _damaged("it is no such object")
        pages = Pages(folder, block_size)
        try:
            while head := bytes(feed.some(_FILE.size)):
                length, count = _FILE.unpack(head + feed.exactly(_FILE.size - len(head), NAME))
                pages.begin(feed.exactly(length, NAME).decode("utf-8", "surrogateescape"), count)
                left = count * HASH
                while left:
                    piece = feed.some(min(left, 1 << 18))
                    if not piece:
                        raise _damaged("it ends too early")
                    pages.write(bytes(piece))
                    left -= len(piece)
        except BaseException:
            pages.close()
            raise
    except DamageError as error:
        raise _damaged(error.detail or error.summary) from None
    return pages


def _damaged(why: str) -> DamageError:
    return DamageError(
        "pages-damaged",
        "the hashes of the pages of a set cannot be read",
        why,
        "a full is taken instead; nothing of the set itself is lost",
    )


def reduced(chunks: Iterator[bytes], archive: str, before: Pages | None, now: Pages) -> Iterator[bytes]:
    """The archive without the pages that are as they were `before`, its hashes written to `now`; the very archive
    where there is no set before. Raises DamageError where it is none that PostgreSQL writes."""
    feed, within = Feed(chunks, lambda _count: None), "" if archive == "base" else f"pg_tblspc/{archive}/"
    while head := bytes(feed.some(_BLOCK)):
        head += feed.exactly(_BLOCK - len(head), archive)
        if not any(head):
            yield head
            continue
        member = read_header(head)
        padding = -member.size % _BLOCK
        if _paged(member, within, now.block_size):
            path = within + member.path
            known = before.of(path) if before is not None else None
            now.begin(path, member.size // now.block_size)
            if known is None:
                yield head
                for data, hashes in _batches(feed, member, now.block_size):
                    now.write(hashes)
                    yield data
            else:
                yield from _changed(feed, head, member, known, now)
            feed.exactly(padding, member.path)
            if known is None and padding:
                yield bytes(padding)
        else:
            yield head
            left = member.size + padding
            while left:
                piece = feed.some(min(left, 1 << 18))
                if not piece:
                    feed.exactly(left, member.path)
                yield bytes(piece)
                left -= len(piece)


def _paged(member: Member, within: str, block_size: int) -> bool:
    folder, _, name = member.path.rpartition("/")
    return (
        member.kind == "0"
        and 0 < member.size <= MOST_BYTES
        and member.size % block_size == 0
        and bool(within or holds_incrementals(folder))
        and _RELATION.fullmatch(name) is not None
    )


def _batches(feed: Feed, member: Member, block_size: int) -> Iterator[tuple[bytes, bytes]]:
    left = member.size
    while left:
        size = min(left, BATCH * block_size)
        data = feed.exactly(size, member.path)
        view = memoryview(data)
        yield data, b"".join(sha256(view[at : at + block_size]).digest()[:HASH] for at in range(0, size, block_size))
        left -= size


def _changed(feed: Feed, head: bytes, member: Member, known: bytes, now: Pages) -> Iterator[bytes]:
    size, length, first, told = now.block_size, member.size // now.block_size, 0, False
    for data, hashes in _batches(feed, member, size):
        now.write(hashes)
        count = len(hashes) // HASH
        before = known[first * HASH : (first + count) * HASH]
        if hashes != before:
            view = memoryview(data)
            numbers = [
                at
                for at in range(count)
                if hashes[at * HASH : at * HASH + HASH] != before[at * HASH : at * HASH + HASH]
            ]
            yield _increment(head, member, length, [first + at for at in numbers], size)
            yield b"".join(view[at * size : at * size + size] for at in numbers)
            told = True
        first += count
    if not told:
        yield _increment(head, member, length, [], size)


def _increment(head: bytes, member: Member, length: int, numbers: list[int], size: int) -> bytes:
    """The head of an incremental file, up to its first page."""
    body = struct.pack(f"<III{len(numbers)}I", MAGIC, len(numbers), length, *numbers)
    body += bytes(-len(body) % size) if numbers else b""
    whole = len(body) + len(numbers) * size
    folder, _, name = member.path.rpartition("/")
    path = f"{folder}/{PREFIX}{name}" if folder else PREFIX + name
    made = bytearray(head)
    made[0:100] = path.encode().ljust(100, b"\0")
    made[124:136] = b"%011o\0" % whole
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    # Pages are multiples of 512 bytes, so that only a file without any needs to be filled up.
    return bytes(made) + body + (bytes(-len(body) % _BLOCK) if not numbers else b"")
