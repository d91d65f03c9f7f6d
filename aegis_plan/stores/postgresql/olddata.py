"""What the old data of a place consists of, whose it is and how much room it takes. It only looks.

A data directory may lie on several disks: tablespaces and the log can be links that lead out of it.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql import place as places
from aegis_plan.stores.postgresql.control_file import cluster
from aegis_plan.stores.postgresql.remains import owner


@dataclass(frozen=True)
class Old:
    """The folders of one old cluster."""

    directory: Path
    tablespaces: dict[str, Path] = field(default_factory=dict)
    """OID to folder, those that lie outside the directory."""
    log: Path | None = None
    """Where the log lies when it is linked."""

    @property
    def folders(self) -> tuple[Path, ...]:
        return (self.directory, *self.tablespaces.values(), *((self.log,) if self.log is not None else ()))


def find(directory: Path) -> Old:
    """Follows the links of a data directory."""
    spaces: dict[str, Path] = {}
    with contextlib.suppress(OSError):
        for link in sorted((directory / "pg_tblspc").iterdir(), key=lambda entry: entry.name):
            if link.is_symlink() and link.is_dir():
                spaces[link.name] = Path(os.path.realpath(link))
    log = directory / "pg_wal"
    return Old(directory, spaces, Path(os.path.realpath(log)) if log.is_symlink() and log.is_dir() else None)


def belongs(binaries: str, directory: Path) -> str | None:
    """The system identifier of whose data it is, by its control file or else by its log; None when nothing tells."""
    try:
        return cluster(binaries, directory).system_identifier
    except AegisError:
        found = owner(directory / "pg_wal")
        return found.system_identifier if found is not None else None


def device(folder: Path) -> int:
    """The file system on which data is staged that goes to `folder`."""
    return os.stat(folder if places.mounted(folder) else folder.parent).st_dev


def frees(old: Old, on: int, check: Callable[[], None], seconds: float | None = None) -> int | None:
    """Bytes that would be free on a file system if the old data were gone; None when counting takes longer than
    `seconds`. Files with a second name elsewhere would free nothing."""
    total, limit = 0, None if seconds is None else time.monotonic() + seconds
    for folder in old.folders:
        if folder.is_symlink():
            continue
        for stat in _files(folder):
            check()
            if limit is not None and time.monotonic() > limit:
                return None
            if stat.st_dev == on and stat.st_nlink == 1:
                total += stat.st_blocks * 512
    return total


def size(old: Old, check: Callable[[], None]) -> int:
    """Bytes that a copy of the old data takes."""
    total = 0
    for folder in old.folders:
        for stat in _files(folder):
            check()
            total += max(stat.st_size, stat.st_blocks * 512) + 4096
    return total


def _files(folder: Path) -> Iterator[os.stat_result]:
    for base, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not places.stays(name)]
        for name in names:
            with contextlib.suppress(OSError):
                yield os.lstat(os.path.join(base, name))


def refuse_unless_plain(old: Old, major: str) -> None:
    """Refuses old data of which removing the directory would not be the whole, or would be more than that.

    Raises AegisError `old-data-entangled`."""
    why = ""
    if old.directory.is_symlink():
        why = f"{old.directory} is a link: without it nothing would be free"
    inside = os.path.realpath(old.directory) + os.sep
    for oid, folder in old.tablespaces.items():
        if f"{folder}{os.sep}".startswith(inside):
            why = why or f"tablespace {oid} lies inside the data directory, in {folder}"
        elif places.mounted(folder):
            why = why or f"tablespace {oid} is a file system of its own, {folder}, which no rename puts in place"
        else:
            known = re.compile(rf"PG_{major}_\d+")
            other = sorted(entry.name for entry in folder.iterdir() if not known.fullmatch(entry.name))
            if other:
                why = why or f"the folder of tablespace {oid}, {folder}, also holds {', '.join(other[:3])}"
    for folder in old.folders:
        above = folder if places.mounted(folder) else folder.parent
        if not os.access(above, os.W_OK | os.X_OK):
            why = why or f"this site may not write into {above}"
        if folder == old.log and places.mounted(folder):
            continue
        nested = _mounted_inside(folder)
        if nested is not None:
            why = why or f"{nested} is a file system of its own inside {folder}"
    if why:
        raise AegisError(
            "old-data-entangled",
            "the old data cannot be taken away as a whole",
            why,
            "put that in order, or make room beside the old data, or restore --beside a folder on another disk",
        )


def _mounted_inside(folder: Path) -> str | None:
    bound = places.mounted_within(folder)
    if bound:
        return bound[0]
    own = os.stat(folder).st_dev
    for base, folders, _ in os.walk(folder):
        for name in folders:
            path = os.path.join(base, name)
            with contextlib.suppress(OSError):
                if not os.path.islink(path) and os.lstat(path).st_dev != own:
                    return path
    return None
