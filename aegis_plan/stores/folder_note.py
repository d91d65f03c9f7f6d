"""The note in a folder beside a server's data that says which run of ours put it there. What carries no such note
of the run at hand is never removed or moved.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError

NOTE = ".aegis-restore.json"


def read_note(folder: Path) -> dict[str, Any] | None:
    """The note in a folder, or None where there is none that can be read."""
    try:
        found = json.loads((folder / NOTE).read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_note(folder: Path, ids: tuple[int, int] | None = None, **data: Any) -> None:
    """Writes the note durably, for the account of `ids` to read."""
    path, fresh = folder / NOTE, folder / (NOTE + ".new")
    with fresh.open("w") as stream:
        json.dump(data, stream, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    if ids:
        os.chown(fresh, *ids)
    fresh.chmod(0o600)
    fresh.replace(path)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Makes durable which names a folder has."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def ours(folder: Path, context: Context) -> bool:
    """Whether this run and store put the folder there."""
    note = read_note(folder)
    return bool(
        note and note.get("run") == context.attempt.run and note.get("store") == context.attempt.params["store"]
    )


def occupied(folder: Path) -> bool:
    """Whether there is anything at a place."""
    return folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir())))


def refuse_foreign(folder: Path, context: Context) -> None:
    """Raises AegisError `staging-occupied` where something lies that is not of this run."""
    if occupied(folder) and not ours(folder, context):
        run = (read_note(folder) or {}).get("run")
        way = f"run {run} put it there, and `aegis resume {run}` goes on with it; " if run else "look at it; "
        raise AegisError(
            "staging-occupied",
            "something that is not ours lies where data would be staged",
            str(folder),
            way + "when it is of no use, move it away, then `aegis resume`, or plan again where this run is over",
        )


def remove_noted(folder: Path) -> None:
    """Removes a folder of ours. The note goes last: a removal that was killed must still be known as ours."""
    for entry in folder.iterdir():
        if entry.name == NOTE:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    (folder / NOTE).unlink(missing_ok=True)
    folder.rmdir()
