"""What the log of a dead server tells by itself: whose it is, and whether whole records lie behind the point where it
can no longer be read. It only reads."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from aegis_plan.stores.postgresql.positions import segment_name

PAGE = 8192
_LONG_HEADER = 0x0002
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_HEADER = struct.Struct("<IIQBBHI")


@dataclass(frozen=True)
class Owner:
    """Whose log a folder holds."""

    system_identifier: str
    segment_size: int
    timeline: int
    """The highest that a segment is of."""


def owner(folder: Path) -> Owner | None:
    """Read from the first page of the newest segment; None where no segment tells."""
    try:
        names = sorted((entry.name for entry in folder.iterdir() if _SEGMENT.fullmatch(entry.name)), reverse=True)
        for name in names:
            with (folder / name).open("rb") as stream:
                head = stream.read(40)
            if len(head) < 40:
                continue
            _, info, _, _, _, _, identifier, size, page = struct.unpack("<HHIQIIQII", head)
            # Recycled segments keep an old page under a future name; whose it is they tell all the same.
            if info & _LONG_HEADER and page == PAGE and size >= 1 << 20 and size & (size - 1) == 0:
                return Owner(str(identifier), size, int(name[:8], 16))
    except OSError:
        pass
    return None


def record_behind(folder: Path, timeline: int, end: int, size: int) -> int | None:
    """A whole record behind `end`, where the log can be read no further: a sign that the log is damaged there.

    A kill leaves none: log reaches the disk in its order, and what is behind its end is empty or of an older use. On
    the page of `end` itself a record may be whole whose predecessor was still being copied, and was not acknowledged
    either; a predecessor that was not even begun leaves zeros. A damage of the very last record shows nowhere."""
    at = end - end % PAGE
    while (path := folder / segment_name(timeline, at, size)).exists():
        data = path.read_bytes()
        start = at - at % size
        for page in range(at - start, min(len(data), size), PAGE):
            if page + PAGE > len(data) or struct.unpack_from("<Q", data, page + 8)[0] != start + page:
                continue
            first = page + (40 if page == 0 else 24)
            if start + page <= end < start + page + PAGE:
                inside = max(end - start, first)
                if inside + 4 > page + PAGE or not any(data[inside : inside + 4]):
                    continue
                first = inside + 8
            for offset in range(first, page + PAGE - _HEADER.size + 1, 8):
                if _whole(data, offset, page + PAGE, start):
                    return start + offset
        at = start + size
    return None


def _whole(data: bytes, offset: int, limit: int, start: int) -> bool:
    length, _, previous, _, manager, padding, crc = _HEADER.unpack_from(data, offset)
    if not _HEADER.size <= length <= limit - offset or padding or not 0 < previous < start + offset:
        return False
    body = google_crc32c.value(data[offset + _HEADER.size : offset + length])
    return bool(manager < 256 and google_crc32c.extend(body, data[offset : offset + _HEADER.size - 4]) == crc)
