"""Where restored data lies before, during and after a restore, and the note in each folder that says it is ours.

Nothing without our note of this run is ever removed or moved back.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.stores.folder_note import NOTE as NOTE
from aegis_plan.stores.folder_note import occupied as occupied
from aegis_plan.stores.folder_note import ours as ours
from aegis_plan.stores.folder_note import read_note as read_note
from aegis_plan.stores.folder_note import refuse_foreign as refuse_foreign
from aegis_plan.stores.folder_note import remove_noted
from aegis_plan.stores.folder_note import sync_folder as sync_folder
from aegis_plan.stores.folder_note import write_note as write_note
from aegis_plan.stores.postgresql.model import Place

INSIDE = "pgsql_tmp.aegis-"
"""How our folders within a mounted data directory begin: a server's base backup leaves out what begins with
`pgsql_tmp`, so that neither staged nor old data ever gets into a set."""


@dataclass(frozen=True)
class Layout:
    """The folders of one restore."""

    final: Path
    staging: Path
    spool: Path
    inside: bool
    """The data directory is a mount point: staging lies within it, and its entries are moved one by one."""

    def old(self, run: str) -> Path:
        """Where the old data is kept after the swap."""
        return self.final / f"{INSIDE}old-{run}" if self.inside else aside(self.final, run)


def layout(place: Place) -> Layout:
    """Staging is on the file system of the final directory, so that putting it in place is a rename."""
    # Behind a link the data lies on another disk, and that is where it has to stay.
    final = Path(place.data_directory if place.beside else os.path.realpath(place.data_directory))
    inside = place.beside is None and mounted(final)
    staging = final / f"{INSIDE}new" if inside else Path(f"{str(final).rstrip('/')}.aegis-new")
    return Layout(final=final, staging=staging, spool=Path(f"{staging}.wal"), inside=inside)


def free_bytes(where: Layout) -> int:
    """Bytes that are free where data is staged."""
    room = os.statvfs(where.final if where.inside else where.final.parent)
    return room.f_bavail * room.f_frsize


def aside(folder: Path, run: str) -> Path:
    """Where the old data of a folder that can be renamed is kept."""
    return Path(f"{str(folder).rstrip('/')}.aegis-old-{run}")


def mounts() -> set[str]:
    """Every mount point of this host. `os.path.ismount` does not see a folder of the same file system that is bound
    there, which can be renamed as little as any other."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return set()
    return {re.sub(r"\\([0-7]{3})", lambda code: chr(int(code.group(1), 8)), line.split(" ")[4]) for line in lines}


def mounted(folder: Path) -> bool:
    return os.path.ismount(folder) or os.path.realpath(folder) in mounts()


def mounted_within(folder: Path) -> list[str]:
    """Mount points below a folder."""
    base = os.path.realpath(folder).rstrip("/") + "/"
    return sorted(point for point in mounts() if point.startswith(base))


def stays(name: str) -> bool:
    """Whether an entry of a mounted folder is none of its data: ours, or the file system's own."""
    return name.startswith((INSIDE, ".aegis-")) or name == "lost+found"


def tablespace_final(place: Place, oid: str, location: str) -> Path:
    """Where a tablespace is served from after the restore."""
    if place.beside:
        return Path(f"{place.data_directory.rstrip('/')}.tablespaces") / oid
    return Path(os.path.realpath(location))


def tablespace_staging(place: Place, oid: str, location: str) -> Path:
    final = tablespace_final(place, oid, location)
    return final if place.beside else Path(f"{str(final).rstrip('/')}.aegis-new")


def make(folder: Path, ids: tuple[int, int] | None, **note: Any) -> None:
    """Makes a private folder with our note. Raises AegisError `place-refused`."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        if ids:
            os.chown(folder, *ids)
        write_note(folder, ids, **note)
    except OSError as error:
        raise AegisError(
            "place-refused",
            "restored data cannot be put there",
            f"{folder}: {error.strerror}",
            "let the account of the site write into its parent folder",
        ) from None


def leftovers(where: Layout) -> dict[str, str]:
    """What lies where data would be staged, by its path, and the run that put it there; empty where nothing tells."""
    found = {}
    for folder in (where.staging, where.spool):
        try:
            there = occupied(folder)
        except OSError:
            there = True
        if there:
            found[str(folder)] = str((read_note(folder) or {}).get("run") or "")
    return found


def remove(folder: Path, context: Context) -> None:
    """Removes a folder of this run; one that is not there is fine. Raises AegisError `staging-occupied`."""
    if not folder.is_symlink() and not folder.exists():
        return
    refuse_foreign(folder, context)
    remove_noted(folder)
