"""Applies files of an incremental backup forwards onto the files of the set before, in place.

An incremental file is a magic number, the count of its blocks, a length in blocks and the block numbers, all 32 bits
little-endian, padded to the block size when there are blocks, then the blocks.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Protocol

from aegis_plan.errors import DamageError

MAGIC = 0xD3AE1F0D
PREFIX = "INCREMENTAL."
MOST_BYTES = 1 << 30
"""Of one file of a relation."""
_RUN = 64
"""Blocks written at once."""


class Readable(Protocol):
    """The content of one member of an archive."""

    name: str
    left: int

    def read(self, size: int) -> bytes: ...


def holds_incrementals(folder: str) -> bool:
    """Whether files of relations live in this folder of the data directory; elsewhere a name that begins like an
    incremental file is only a strange name."""
    return folder == "global" or folder.startswith(("base/", "pg_tblspc/"))


def _damaged(name: str, why: str) -> DamageError:
    return DamageError(
        "incremental-damaged",
        "a file of an incremental backup cannot be applied",
        f"{name}: {why}",
        "use a recovery point of the full backup, or another copy",
    )


def read_blocks(body: Readable, block_size: int) -> tuple[tuple[int, ...], int]:
    """The numbers of the blocks that follow, and the length in blocks. Raises DamageError `incremental-damaged`."""
    magic, count, length = struct.unpack("<III", body.read(12))
    most = MOST_BYTES // block_size
    if magic != MAGIC or count > most or length > most:
        raise _damaged(body.name, "its header makes no sense")
    numbers = struct.unpack(f"<{count}I", body.read(4 * count))
    header = 12 + 4 * count
    if count and header % block_size:
        body.read(block_size - header % block_size)
    if body.left != count * block_size:
        raise _damaged(body.name, f"{count} blocks promised, {body.left} bytes follow")
    if any(number >= most for number in numbers) or len(set(numbers)) != count:
        raise _damaged(body.name, "its block numbers make no sense")
    return numbers, length


def missing(name: str) -> DamageError:
    """What is said of an incremental file that has nothing to be applied to."""
    return _damaged(name, "the set before has no such file")


def patch(path: Path, body: Readable, block_size: int) -> None:
    """Brings the file at `path` from the set before to this one.

    The length in blocks is the shortest that the relation had in between: what lies behind it is gone, and blocks
    behind it that the increment does not carry are zero. Raises DamageError `incremental-damaged`."""
    numbers, length = read_blocks(body, block_size)
    count = len(numbers)
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        raise missing(body.name) from None
    try:
        if os.fstat(handle).st_size > length * block_size:
            os.ftruncate(handle, length * block_size)
        end = max([length, *(number + 1 for number in numbers)]) * block_size
        os.ftruncate(handle, end)
        index = 0
        while index < count:
            run = 1
            while run < _RUN and index + run < count and numbers[index + run] == numbers[index] + run:
                run += 1
            data, offset = memoryview(body.read(run * block_size)), numbers[index] * block_size
            while data:
                written = os.pwrite(handle, data, offset)
                data, offset = data[written:], offset + written
            index += run
    finally:
        os.close(handle)


def strip_label(path: Path) -> None:
    """Takes out of `backup_label` that the set was incremental; a server refuses to start with it."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError:
        raise _damaged(path.name, "the set has no backup label") from None
    path.write_bytes(b"".join(line for line in lines if not line.startswith(b"INCREMENTAL FROM ")))
