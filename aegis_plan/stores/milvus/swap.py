"""The step `swap` of Milvus: restored collections take the names of the old ones, and aliases lead to them.

Every move is written down before it is made and is made only in the one state in which it is right. The old
collections stay, under names that say so, and are never removed here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.errors import AegisError, UnknownOutcomeError
from aegis_plan.stores.milvus.collection import TTL, Collection, describe, names
from aegis_plan.stores.milvus.connection import Connection, RefusedError, connect, pairs
from aegis_plan.stores.milvus.model import LoadParams
from aegis_plan.stores.milvus.reading import load, release, release_others
from aegis_plan.stores.milvus.staged import Kept, folder_of, new_name, old_name, require

MOVES = "swap.json"
"""In what was staged: what was there before. It names data, so it is no mark."""


class Swap:
    """Put the restored collections in place."""

    kind = "swap"

    def probe(self, context: Context) -> Probed:
        swapped = next((mark for mark in context.marks if mark.name == "swapped"), None)
        if swapped is not None:
            return Probed("satisfied", outputs=dict(swapped.data))
        if any(mark.name == "moves" for mark in context.marks):
            return Probed("needed", "an earlier attempt came part of the way; the rest follows from its marks")
        return Probed("needed")

    def act(self, context: Context) -> Done:
        params = LoadParams.model_validate(context.attempt.params)
        found = self.probe(context)
        if found.answer == "satisfied":
            return Done(found.outputs)
        held = require(context, params.store)
        run = context.attempt.run
        with connect(context, params.store, params.member) as server:
            before = _before(context, params, server, held.kept)
            for kept in held.kept:
                self._forth(context, server, kept, before[kept.number], run)
            others = set(names(server)) - _ours(held.kept, run)
        if others:
            context.find(
                "note",
                "milvus-others-left",
                "collections that are not in the set were left as they are",
                f"{server.where}: {len(others)}",
                "they are younger than the set, or were not backed up",
            )
        outputs = {"swapped": len(held.kept), "kept": sum(one["there"] for one in before)}
        context.mark("swapped", **outputs)
        return Done(outputs)

    def undo(self, context: Context) -> Done:
        params = LoadParams.model_validate(context.attempt.params)
        path = folder_of(context, params.store) / MOVES
        if not any(mark.name == "moves" for mark in context.marks):
            return Done()
        before = json.loads(path.read_text())
        held = require(context, params.store)
        with connect(context, params.store, params.member) as server:
            for kept in reversed(held.kept):
                self._back(context, server, kept, before[kept.number], context.attempt.run)
        return Done({"put_back": len(held.kept)})

    def _forth(self, context: Context, server: Connection, kept: Kept, was: dict[str, Any], run: str) -> None:
        name = kept.collection.name
        fresh, aside = new_name(name, run), old_name(name, run)
        here, there, kept_old = (describe(server, one) for one in (fresh, name, aside))
        if here is not None:
            _set_ttl(server, kept.collection, fresh)
            if there is not None and was["there"] and kept_old is None:
                context.mark("move", number=kept.number, what="aside")
                rename(server, name, aside)
            elif there is not None:
                raise _unclear(server, kept.number, "something else has the name of a collection that is restored")
            context.mark("move", number=kept.number, what="in")
            rename(server, fresh, name)
        elif there is None:
            raise _unclear(server, kept.number, "a restored collection is under neither of its names")
        elif not _moved(context, kept.number):
            # What has the name is what was served before: nobody may take that for what was restored.
            raise _unclear(server, kept.number, "a restored collection is gone, and the old one has its name still")
        for alias, _ in was["aliases"]:
            point(context, server, kept.number, alias, name)
        now = describe(server, name)
        assert now is not None
        if not kept.collection.loaded and now.loaded:
            release(server, name)
        if kept.collection.loaded_partitions and not server.lite:
            release_others(server, now, kept.collection.loaded_partitions)
        if was["loaded"] and (old := describe(server, aside)) is not None and old.loaded:
            release(server, aside)

    def _back(self, context: Context, server: Connection, kept: Kept, was: dict[str, Any], run: str) -> None:
        name = kept.collection.name
        fresh, aside = new_name(name, run), old_name(name, run)
        for alias, target in was["aliases"]:
            goal = aside if target == name and describe(server, aside) is not None else target
            if goal is None:
                _drop_alias(server, alias, name)
            elif describe(server, goal) is not None:
                point(context, server, kept.number, alias, goal)
        came = _moved(context, kept.number) and (not was["there"] or describe(server, aside) is not None)
        if came and describe(server, fresh) is None and describe(server, name) is not None:
            context.mark("back", number=kept.number, what="in")
            rename(server, name, fresh)
        if was["there"] and describe(server, aside) is not None:
            if describe(server, name) is not None:
                raise _unclear(server, kept.number, "old data cannot be put back because its name is taken")
            context.mark("back", number=kept.number, what="aside")
            rename(server, aside, name)
        old = describe(server, name)
        if was["loaded"] and old is not None and not old.loaded:
            load(context, server, name)


def _moved(context: Context, number: int) -> bool:
    """Whether this step was about to give a restored collection its name: the mark stands before the rename."""
    return any(
        mark.name == "move" and (mark.data["number"], mark.data["what"]) == (number, "in") for mark in context.marks
    )


def _before(context: Context, params: LoadParams, server: Connection, all_kept: list[Kept]) -> list[dict[str, Any]]:
    """What was there before the first move; written down once."""
    path = folder_of(context, params.store) / MOVES
    if any(mark.name == "moves" for mark in context.marks):
        found: list[dict[str, Any]] = json.loads(path.read_text())
        return found
    known = {one: describe(server, one) for one in names(server)}
    leads = {alias: one for one, found in known.items() if found is not None for alias in found.aliases}
    before = []
    for kept in all_kept:
        name = kept.collection.name
        if name in leads:
            raise AegisError(
                "milvus-name-is-alias",
                "an alias has the name of a collection that is restored",
                f"{server.where}: collection {kept.number} of the set",
                "drop the alias, or restore with --beside",
            )
        old = known.get(name)
        taken = [one for one in kept.collection.aliases if one in known]
        if taken:
            context.find(
                "warning",
                "milvus-alias-taken",
                "an alias of the set is now the name of a collection",
                f"{server.where}: {len(taken)}",
                "rename that collection, and make the alias by hand",
            )
        wanted = {*(old.aliases if old is not None else ()), *kept.collection.aliases} - set(taken)
        before.append(
            {
                "there": old is not None,
                "loaded": old is not None and old.loaded,
                "aliases": [[alias, leads.get(alias)] for alias in sorted(wanted)],
            }
        )
    _write(path, before)
    context.mark("moves", collections=len(before))
    return before


def _write(path: Path, data: Any) -> None:
    with path.with_suffix(".new").open("w") as stream:
        json.dump(data, stream)
        stream.flush()
        os.fsync(stream.fileno())
    path.with_suffix(".new").replace(path)


def _ours(all_kept: list[Kept], run: str) -> set[str]:
    found: set[str] = set()
    for kept in all_kept:
        found |= {kept.collection.name, old_name(kept.collection.name, run)}
    return found


def rename(server: Connection, name: str, to: str) -> None:
    server.call("RenameCollection", "RenameCollectionRequest", oldName=name, newName=to)


def point(context: Context, server: Connection, number: int, alias: str, name: str) -> None:
    """Lets an alias lead to a collection, in one step where it is there already."""
    found = describe(server, name)
    if found is not None and alias in found.aliases:
        return
    context.mark("alias", number=number)
    try:
        server.call("AlterAlias", "AlterAliasRequest", alias=alias, collection_name=name)
    except RefusedError:
        server.call("CreateAlias", "CreateAliasRequest", alias=alias, collection_name=name)


def _drop_alias(server: Connection, alias: str, name: str) -> None:
    found = describe(server, name)
    if found is not None and alias in found.aliases:
        server.call("DropAlias", "DropAliasRequest", alias=alias)


def _set_ttl(server: Connection, collection: Collection, name: str) -> None:
    """Time to live begins anew: rows that were restored are as old as their restore."""
    if TTL in collection.properties:
        server.call(
            "AlterCollection",
            "AlterCollectionRequest",
            collection_name=name,
            properties=pairs({TTL: collection.properties[TTL]}),
        )


def _unclear(server: Connection, number: int, why: str) -> UnknownOutcomeError:
    return UnknownOutcomeError(
        "milvus-swap-unclear",
        "the swap of collections cannot go on as things are",
        f"{server.where}: collection {number} of the set: {why}",
        "look at the names of the collections, put them right, then `aegis resume`",
    )


ACTION = Swap()
