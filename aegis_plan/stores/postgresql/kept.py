"""Copies old data to where it is kept, and back: owned as before, on the disk, compared byte by byte before it counts.
It never removes what it copied.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from aegis_plan.errors import AegisError
from aegis_plan.stores.postgresql import place as places
from aegis_plan.stores.postgresql.unpack import sync


def copy_verified(source: Path, goal: Path, check: Callable[[], None]) -> None:
    """Copies a tree, makes it durable and compares every byte; a goal that is there was finished before. What is ours
    in a mount point (`places.stays`) is left out. `check` raises when it is to stop.

    Raises AegisError `old-data-not-copied`."""
    partial = goal.with_name(goal.name + ".partial")
    try:
        if goal.exists():
            return
        shutil.rmtree(partial, ignore_errors=True)
        _copy(source, partial, check)
        sync(partial)
        for place, _, names in os.walk(partial):
            for name in names:
                check()
                there = Path(place) / name
                here = source / there.relative_to(partial)
                if not here.is_symlink() and _digest(here) != _digest(there):
                    raise OSError(None, "a copied file differs")
        partial.rename(goal)
        places.sync_folder(goal.parent)
    except (OSError, shutil.Error) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise AegisError(
            "old-data-not-copied",
            "the old data could not be moved to where it should be kept",
            f"{source} to {goal}: {getattr(error, 'strerror', None) or 'several files could not be copied'}",
            "it is still where it was; make room at the other place, then try again",
        ) from None


def _copy(source: Path, goal: Path, check: Callable[[], None]) -> None:
    def one(here: str, there: str) -> str:
        check()
        shutil.copy2(here, there, follow_symlinks=False)
        _own(here, there)
        return there

    def ours(_: str, names: list[str]) -> set[str]:
        return {name for name in names if places.stays(name)}

    # A socket or pipe is nothing that can be kept, and none belongs into a data directory.
    shutil.copytree(source, goal, symlinks=True, ignore=ours, copy_function=one)
    for place, folders, names in os.walk(goal):
        inside = os.path.relpath(place, goal)
        _own(str(source / inside), place)
        for name in (*folders, *names):
            if os.path.islink(os.path.join(place, name)):
                _own(str(source / inside / name), os.path.join(place, name))


def _own(here: str, there: str) -> None:
    stat = os.lstat(here)
    os.chown(there, stat.st_uid, stat.st_gid, follow_symlinks=False)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
