"""Unpacks the archives of a backup set into a folder of our own. It writes nowhere else: every path is checked, and
of links it takes only the ones that PostgreSQL makes for tablespaces, which it hands back instead of following them.
"""

from __future__ import annotations

import errno
import io
import os
import re
import tarfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import google_crc32c

from aegis_plan.errors import DamageError
from aegis_plan.stores.postgresql.incremental import PREFIX, holds_incrementals, patch
from aegis_plan.stores.postgresql.manifest import Checker

_BLOCK = 512
_PIECE = 1 << 20
_SYNCS = 8
_SEGMENT = re.compile(r"[0-9A-F]{24}|[0-9A-F]{8}\.history")


class Feed:
    """Reads exact amounts from an iterator of bytes."""

    def __init__(self, chunks: Iterator[bytes], tick: Callable[[int], None]) -> None:
        self._chunks = chunks
        self._tick = tick
        self._left = memoryview(b"")

    def some(self, most: int) -> memoryview:
        """Between 1 and `most` bytes, or nothing at the end."""
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return memoryview(b"")
            self._tick(len(chunk))
            self._left = memoryview(chunk)
        piece, self._left = self._left[:most], self._left[most:]
        return piece

    def exactly(self, size: int, what: str) -> bytes:
        """`size` bytes. Raises DamageError `archive-cut`."""
        parts, left = [], size
        while left:
            piece = self.some(left)
            if not piece:
                raise DamageError("archive-cut", "an archive of a backup ends too early", what)
            parts.append(piece)
            left -= len(piece)
        return b"".join(parts)


class Body:
    """The content of one member, with its CRC32C on the way."""

    def __init__(self, feed: Feed, name: str, size: int) -> None:
        self._feed = feed
        self.name = name
        self.size = size
        self.left = size
        self.crc = 0

    def pieces(self) -> Iterator[bytes]:
        while self.left:
            piece = bytes(self._feed.some(min(self.left, _PIECE)))
            if not piece:
                raise DamageError("archive-cut", "an archive of a backup ends too early", self.name)
            self.left -= len(piece)
            self.crc = google_crc32c.extend(self.crc, piece)
            yield piece

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes. Raises DamageError `archive-cut` past the member's end."""
        if size > self.left:
            raise DamageError("archive-cut", "an archive of a backup ends too early", self.name)
        data = self._feed.exactly(size, self.name)
        self.left -= size
        self.crc = google_crc32c.extend(self.crc, data)
        return data


def _number(field_: bytes) -> int:
    if field_[0] & 0x80:
        return int.from_bytes(bytes([field_[0] & 0x7F]) + field_[1:], "big")
    return int(field_.rstrip(b" \0") or b"0", 8)


def _unexpected(name: str, why: str) -> DamageError:
    return DamageError(
        "archive-unexpected", "an archive of a backup holds what PostgreSQL never puts there", f"{name}: {why}"
    )


@dataclass(frozen=True)
class Member:
    """The header of one entry of an archive."""

    path: str
    kind: str
    """`0` a file, `5` a folder, `2` a link."""
    mode: int
    size: int
    link: str


def read_header(block: bytes) -> Member:
    """Reads a tar header of the kind that PostgreSQL writes. Raises DamageError `archive-unexpected`."""
    try:
        name = block[:100].rstrip(b"\0").decode("utf-8", "surrogateescape")
        prefix = block[345:500].rstrip(b"\0").decode("utf-8", "surrogateescape")
        mode, size, check = _number(block[100:108]), _number(block[124:136]), _number(block[148:156])
    except ValueError:
        raise _unexpected("header", "it is not a header") from None
    if check != sum(block[:148]) + 8 * 32 + sum(block[156:]):
        raise _unexpected("header", "its checksum does not fit")
    path = (f"{prefix}/{name}" if prefix else name).rstrip("/")
    while path.startswith("./"):
        path = path[2:]
    if path.startswith("/") or ".." in path.split("/"):
        raise _unexpected(path, "it points outside")
    kind = chr(block[156]) if block[156] else "0"
    if kind not in "052":
        raise _unexpected(path, f"type {kind}")
    return Member(path=path, kind=kind, mode=mode, size=size if kind == "0" else 0,
                  link=block[157:257].rstrip(b"\0").decode("utf-8", "surrogateescape"))  # fmt: skip


@dataclass
class Unpacker:
    """Builds one cluster from the archives of a chain, full first.

    `root` is the staged data directory, `spool` takes the log segments that a set brings along, `tablespaces` names
    the staged folder of each tablespace by OID. The tablespaces that archives name are collected in `locations`.
    """

    root: Path
    spool: Path
    tablespaces: Mapping[str, Path]
    ids: tuple[int, int] | None
    block_size: int = 8192
    locations: dict[str, str] = field(default_factory=dict)
    present: set[str] = field(default_factory=set)
    """Paths of the set that is being unpacked, as its manifest spells them."""
    _known: set[str] = field(default_factory=set)
    """Folders that were looked at: in place, and no link. A cluster has thousands of files in a few of them."""

    def begin_set(self) -> None:
        """Another set of the chain begins; log segments of the one before are of no use any more."""
        self.present = set()
        self._known = set()
        self.locations = {}
        for entry in self.spool.iterdir():
            if not entry.name.startswith("."):
                entry.unlink()

    def archive(
        self, name: str, chunks: Iterator[bytes], checker: Checker, *, incremental: bool, tick: Callable[[int], None]
    ) -> None:
        """Unpacks one archive, `base` or a tablespace's OID, verifying every file. Raises DamageError."""
        feed = Feed(chunks, tick)
        base = name == "base"
        target = self.root if base else self.tablespaces[name]
        before = "" if base else f"pg_tblspc/{name}/"
        while True:
            block = feed.some(_BLOCK)
            if not block:
                break
            if len(block) < _BLOCK:
                block = memoryview(bytes(block) + feed.exactly(_BLOCK - len(block), name))
            if not any(block):
                continue
            member = read_header(bytes(block))
            if not member.path or member.path == ".":
                continue
            self._member(feed, member, target, before, checker, incremental)
            if member.size % _BLOCK:
                feed.exactly(_BLOCK - member.size % _BLOCK, member.path)

    def _member(
        self, feed: Feed, member: Member, target: Path, before: str, checker: Checker, incremental: bool
    ) -> None:
        listed = before + member.path
        if member.kind == "5":
            self.present.add(listed)
            self._folder(target, member.path, member.mode)
            return
        if member.kind == "2":
            parts = member.path.split("/")
            if before or len(parts) != 2 or parts[0] != "pg_tblspc" or not parts[1].isdigit():
                raise _unexpected(member.path, "a link")
            self.locations[parts[1]] = member.link
            return
        body = Body(feed, member.path, member.size)
        folder, _, name = member.path.rpartition("/")
        if not before and member.path == "tablespace_map":
            self._map(b"".join(body.pieces()))
        elif not before and folder.split("/")[0] == "pg_wal":
            self._log(body, folder, name)
        elif incremental and name.startswith(PREFIX) and (before or holds_incrementals(folder)):
            plain = f"{folder}/{name.removeprefix(PREFIX)}" if folder else name.removeprefix(PREFIX)
            self.present.add(before + plain)
            self._patch(target / plain, before + plain, body)
            checker.increment(listed, before + plain, member.size, body.crc)
            return
        else:
            self.present.add(listed)
            self._file(f"{target}/{member.path}", body, member.mode)
        checker.file(listed, member.size, body.crc)

    def _folder(self, target: Path, path: str, mode: int) -> None:
        place = target
        for part in path.split("/"):
            place = place / part
            if place.is_symlink():
                raise _unexpected(path, "a link stands in its way")
            if not place.is_dir():
                place.mkdir(mode=0o700)
                self._own(place)
        place.chmod(mode & 0o750 | 0o700)

    def _patch(self, place: Path, listed: str, body: Body) -> None:
        patch(place, body, self.block_size)

    def _file(self, place: str, body: Body, mode: int) -> None:
        folder, _, name = place.rpartition("/")
        if folder not in self._known:
            if os.path.islink(folder) or not os.path.isdir(folder):
                raise _unexpected(name, "its folder is missing")
            self._known.add(folder)
        try:
            handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EISDIR):
                raise
            raise _unexpected(name, "something else stands in its place") from None
        try:
            for piece in body.pieces():
                view = memoryview(piece)
                while view:
                    view = view[os.write(handle, view) :]
            os.fchmod(handle, mode & 0o640 | 0o600)
            if self.ids:
                os.fchown(handle, *self.ids)
        finally:
            os.close(handle)

    def _log(self, body: Body, folder: str, name: str) -> None:
        if folder == "pg_wal" and _SEGMENT.fullmatch(name):
            self._file(f"{self.spool}/{name}", body, 0o600)
            return
        for _ in body.pieces():  # notes of the old archiver and summaries mean nothing here
            pass

    def _map(self, text: bytes) -> None:
        # One line a tablespace: OID, space, location; a backslash stands before newlines, returns and itself.
        for line in re.findall(rb"(?:[^\\\n]|\\.)+", text, re.DOTALL):
            oid, _, location = line.partition(b" ")
            if location:
                plain = re.sub(rb"\\(.)", rb"\1", location, flags=re.DOTALL)
                self.locations[oid.decode()] = plain.decode("utf-8", "surrogateescape")

    def _own(self, place: Path) -> None:
        if self.ids:
            os.chown(place, *self.ids)

    def hold_rebuilt(self, checker: Checker, tick: Callable[[int], None]) -> None:
        """Reads every file that was made of pages of several sets, and holds it against what the server sent of the
        last one. Raises DamageError `file-differs`."""
        for path in sorted(checker.rebuilt):
            first, _, rest = path.partition("/")
            oid, _, inside = rest.partition("/")
            place = self.tablespaces[oid] / inside if first == "pg_tblspc" else self.root / path
            size = crc = 0
            with place.open("rb", buffering=0) as stream:
                while piece := stream.read(_PIECE):
                    size, crc = size + len(piece), google_crc32c.extend(crc, piece)
                    tick(0)
            checker.file(path, size, crc)

    def end_set(self) -> None:
        """Removes what the set no longer holds: files and folders that were dropped since the one before."""
        for target, before in [(self.root, "")] + [
            (folder, f"pg_tblspc/{oid}/") for oid, folder in self.tablespaces.items()
        ]:
            for folder, folders, files in os.walk(target, topdown=False):
                inside = os.path.relpath(folder, target)
                start = before + ("" if inside == "." else inside + "/")
                for name in files:
                    if start + name not in self.present and not name.startswith(".aegis"):
                        os.unlink(os.path.join(folder, name))
                for name in folders:
                    place = os.path.join(folder, name)
                    if start + name not in self.present and not os.path.islink(place) and not os.listdir(place):
                        os.rmdir(place)


def sync(folder: Path) -> None:
    """Makes a whole tree durable in one pass. Several at a time: a file system writes its own journal once for all that
    wait for it."""
    with ThreadPoolExecutor(_SYNCS, thread_name_prefix="sync") as pool:
        for place, _, names in os.walk(folder, topdown=False):
            paths = [os.path.join(place, name) for name in names]
            deque(pool.map(_sync, (path for path in paths if not os.path.islink(path))), maxlen=0)
            _sync(place)


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def files(tar: bytes) -> Iterator[tuple[str, bytes]]:
    """Path and content of every file of a small archive of our own that is held whole. Raises DamageError."""
    try:
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            for member in archive:
                body = archive.extractfile(member) if member.isfile() else None
                if body is None or member.name.startswith("/") or ".." in member.name.split("/"):
                    raise _unexpected(member.name, "not a plain file with a path inside")
                yield member.name, body.read()
    except tarfile.TarError:
        raise _unexpected("config", "it cannot be read") from None
