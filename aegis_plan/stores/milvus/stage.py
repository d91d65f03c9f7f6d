"""The step `stage` of Milvus: fetches a set, verifies every byte of it and lays its rows down at the site.

It touches no server.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.catalog.record import SetRecord
from aegis_plan.clock import stamp
from aegis_plan.errors import AegisError, DamageError
from aegis_plan.stores.fetcher import Fetcher, archives
from aegis_plan.stores.milvus import staged
from aegis_plan.stores.milvus.export import FORMAT, SCHEMA
from aegis_plan.stores.milvus.model import StageParams
from aegis_plan.stores.milvus.rows import frames


class Stage:
    """Fetch, unseal and verify."""

    kind = "stage"

    def probe(self, context: Context) -> Probed:
        params = StageParams.model_validate(context.attempt.params)
        found = staged.find(staged.folder_of(context, params.store))
        if found is not None and found.data["record"] == params.record:
            return Probed("satisfied", outputs=_outputs(found))
        return Probed("needed", "nothing whole is staged")

    def act(self, context: Context) -> Done:
        params = StageParams.model_validate(context.attempt.params)
        if self.probe(context).answer == "satisfied":
            return Done(_outputs(staged.require(context, params.store)))
        fetcher = Fetcher(context, params.store, params.lineage)
        record = fetcher.record(params.record, params.digest)
        if not isinstance(record, SetRecord):
            raise DamageError("milvus-set-unreadable", "a backup set cannot be read", f"{params.record} is no set")
        folder = staged.folder_of(context, params.store)
        staged.remove(folder)
        folder.mkdir(mode=0o700, parents=True)
        parts = archives(record)
        data = _schema(b"".join(fetcher.objects(parts[SCHEMA], record.key)))
        data["collections"] = _selected(params, data["collections"])
        total = sum(stored.plain_size for one in data["collections"] for stored in parts[one["archive"]])
        _room(folder, total)
        done = 0
        for one in data["collections"]:
            done = self._rows(context, folder / one["archive"], fetcher, parts[one["archive"]], record.key, done, total)
            with (folder / one["archive"]).open("rb") as stream:
                rows = sum(count for _, count, _ in frames(stream))
            if rows != one["rows"]:
                raise DamageError(
                    "milvus-set-unreadable", "a backup set cannot be read", f"{rows} rows of {one['rows']} are in it"
                )
        data["record"], data["bytes"], data["covers_until"] = record.id, total, stamp(record.not_before)
        staged.write(folder, data)
        return Done(_outputs(staged.require(context, params.store)))

    def undo(self, context: Context) -> Done:
        staged.remove(staged.folder_of(context, context.attempt.params["store"]))
        return Done()

    def _rows(
        self, context: Context, path: Path, fetcher: Fetcher, stored: list[Any], key: str, done: int, total: int
    ) -> int:
        with path.open("wb") as stream:
            os.chmod(path, 0o600)
            for chunk in fetcher.objects(stored, key):
                context.check()
                stream.write(chunk)
                done += len(chunk)
                context.progress("fetch", done, total)
            stream.flush()
            os.fsync(stream.fileno())
        return done


def _schema(text: bytes) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(text)
    if data["oldest_reader"] > FORMAT:
        raise AegisError(
            "milvus-set-too-new",
            "a newer version of this tool took this backup of Milvus",
            f"its format is {data['format']}, this version reads up to {FORMAT}",
            "restore with the version that took it, or a later one",
        )
    return data


def _selected(params: StageParams, collections: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    wanted, known = set(params.selection), list(collections)
    if not wanted:
        return known
    missing = wanted - {one["name"] for one in known}
    if missing:
        raise AegisError(
            "milvus-not-in-set",
            "a collection that was asked for is not in the backup",
            f"{params.store}: {', '.join(sorted(missing))}",
            "leave `--only` away to restore all that is in it, or take another set",
        )
    return [one for one in known if one["name"] in wanted]


def _room(folder: Path, total: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < total + (64 << 20):
        raise AegisError(
            "milvus-no-room",
            "there is no room at the site for what has to be fetched",
            f"{folder}: {total} bytes are needed, {free} are free",
            "make room on the disk of the site's folder, then resume",
        )


def _outputs(found: staged.Staged) -> dict[str, Any]:
    rows = sum(one["rows"] for one in found.data["collections"])
    return {"bytes": found.data["bytes"], "collections": len(found.data["collections"]), "rows": rows}


ACTION = Stage()
