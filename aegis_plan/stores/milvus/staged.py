"""What `stage` put at a site for the steps after it: the schema of a set and the rows of each collection.

The names of data stand in it and nowhere else at the site: marks carry the numbers of collections alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context, work_folder
from aegis_plan.errors import AegisError
from aegis_plan.stores.folder_note import sync_folder
from aegis_plan.stores.milvus.collection import Collection, read
from aegis_plan.stores.milvus.rows import frames

NOTE = "staged.json"
_OURS = re.compile(r"__aegis_(old_)?\d{8}T\d{6}Z_[0-9a-f]+$")
LONGEST = 255
"""Letters that the name of a collection may have."""


@dataclass(frozen=True)
class Kept:
    """One collection of what was staged."""

    number: int
    collection: Collection
    rows: int
    each: tuple[int, ...]
    """Rows of each partition; one number where the server spreads them by itself."""
    counted: int
    path: Path

    def frames(self) -> Iterator[tuple[int, int, Any]]:
        with self.path.open("rb") as stream:
            yield from frames(stream)

    def partition(self, number: int) -> str | None:
        """Its name, or None where none may be named."""
        return None if self.collection.by_partition_key else self.collection.partitions[number]


@dataclass(frozen=True)
class Staged:
    """A set as it was staged."""

    folder: Path
    data: dict[str, Any]

    @property
    def kept(self) -> list[Kept]:
        return [
            Kept(
                number=number,
                collection=read(one),
                rows=one["rows"],
                each=tuple(one["each"]),
                counted=max(one["counted"]),
                path=self.folder / one["archive"],
            )
            for number, one in enumerate(self.data["collections"])
        ]


def folder_of(context: Context, store: str) -> Path:
    """Where a run stages a store."""
    return work_folder(context) / f"milvus-{store}"


def write(folder: Path, data: dict[str, Any]) -> None:
    """Says durably that all of it is there."""
    path = folder / NOTE
    with path.with_suffix(".new").open("w") as stream:
        json.dump(data, stream)
        stream.flush()
        os.fsync(stream.fileno())
    path.with_suffix(".new").replace(path)
    sync_folder(folder)


def find(folder: Path) -> Staged | None:
    """What is staged there, where it is whole."""
    try:
        return Staged(folder, json.loads((folder / NOTE).read_text()))
    except (OSError, ValueError):
        return None


def require(context: Context, store: str) -> Staged:
    """What an earlier step of this run staged. Raises AegisError `milvus-nothing-staged`."""
    found = find(folder_of(context, store))
    if found is None:
        raise AegisError(
            "milvus-nothing-staged",
            "nothing is staged that could be loaded",
            str(folder_of(context, store)),
            "make a new plan; its first step fetches the set again",
        )
    return found


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def ours(name: str) -> bool:
    """Whether a restore made the name: what it put aside, or had not put in place yet. No backup takes it by itself."""
    return _OURS.search(name) is not None


def new_name(name: str, run: str) -> str:
    """Under which a collection is restored until it takes its own name."""
    return _with(name, "__aegis_" + run.replace("-", "_"))


def old_name(name: str, run: str) -> str:
    """Under which what was served before is kept."""
    return _with(name, "__aegis_old_" + run.replace("-", "_"))


def _with(name: str, ending: str) -> str:
    if len(name) + len(ending) <= LONGEST:
        return name + ending
    mark = "_" + hashlib.sha256(name.encode()).hexdigest()[:12]
    return name[: LONGEST - len(ending) - len(mark)] + mark + ending
