"""The step `load`: puts staged rows into new collections, builds their indexes and loads them.

Nothing that serves is touched: each collection is made under a name of this run, and one that an earlier attempt left
half is made again from its begin.
"""

from __future__ import annotations

import time
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.errors import AegisError
from aegis_plan.stores.milvus.collection import META, TTL, Collection, describe, indexes
from aegis_plan.stores.milvus.connection import Connection, message, pairs
from aegis_plan.stores.milvus.model import LoadParams
from aegis_plan.stores.milvus.reading import begin_load, create_index, wait_indexes, wait_loaded
from aegis_plan.stores.milvus.rows import compact
from aegis_plan.stores.milvus.staged import Kept, require
from aegis_plan.stores.milvus.target import Goal, make_database, open_goal, there

EXPLICIT = "allow_insert_auto_id"
"""The property of a collection that lets keys be given though the server makes them."""


class Load:
    """Load restored data under new names."""

    kind = "load"

    def probe(self, context: Context) -> Probed:
        done = next((mark for mark in context.marks if mark.name == "loaded-all"), None)
        return Probed("satisfied", outputs=dict(done.data)) if done is not None else Probed("needed")

    def act(self, context: Context) -> Done:
        params = LoadParams.model_validate(context.attempt.params)
        found = self.probe(context)
        if found.answer == "satisfied":
            return Done(found.outputs)
        held = require(context, params.store)
        over = {int(mark.data["number"]) for mark in context.marks if mark.name == "loaded"}
        total, done = sum(one.rows for one in held.kept), 0
        goal = open_goal(context, params, create=True)
        with goal.server as server:
            if make_database(server, held.data["database"]["properties"]):
                context.mark("database-made")
            for kept in held.kept:
                if kept.number not in over:
                    self._one(context, goal, kept, done, total)
                    context.mark("loaded", number=kept.number)
                done += kept.rows
            self._finish(context, goal, held.kept)
        outputs = {"collections": len(held.kept), "rows": total, "bytes": held.data["bytes"]}
        context.mark("loaded-all", **outputs)
        return Done(outputs)

    def undo(self, context: Context) -> Done:
        """Drops what this run made."""
        params = LoadParams.model_validate(context.attempt.params)
        begun = {int(mark.data["number"]) for mark in context.marks if mark.name == "loading"}
        if not begun or not there(context, params):
            return Done()
        held = require(context, params.store)
        goal = open_goal(context, params)
        with goal.server as server:
            for kept in held.kept:
                if kept.number in begun:
                    drop(server, goal.name(kept.collection.name))
            if any(mark.name == "database-made" for mark in context.marks):
                server.call("DropDatabase", "DropDatabaseRequest", db_name=server.database)
        return Done()

    def _one(self, context: Context, goal: Goal, kept: Kept, done: int, total: int) -> None:
        server, old = goal.server, kept.collection
        name = goal.name(old.name)
        if goal.alone and not any(
            mark.name == "loading" and mark.data["number"] == kept.number for mark in context.marks
        ):
            _refuse_taken(server, name)
        context.mark("loading", number=kept.number)
        drop(server, name)
        explicit = create(server, old, name)
        if old.makes_keys and not explicit and kept.rows:
            context.find(
                "warning",
                "milvus-keys-renewed",
                "rows got new keys, because the server makes them and lets none be given",
                f"{server.where}: {kept.rows} rows; what refers to their old keys refers to nothing",
                "let what refers to them look them up by another field",
            )
        parts = [one for one in old.partitions if one != "_default"] if not old.by_partition_key else []
        for partition in parts:
            server.call("CreatePartition", "CreatePartitionRequest", collection_name=name, partition_name=partition)
        for number, rows, fields in kept.frames():
            self._insert(server, old, name, kept.partition(number), rows, fields, explicit)
            done += rows
            context.progress("insert", done, total, "rows")

    def _finish(self, context: Context, goal: Goal, all_kept: list[Kept]) -> None:
        """Flushes, indexes and loads; each is begun for all before any is waited for."""
        server = goal.server
        flush(context, server, [goal.name(kept.collection.name) for kept in all_kept])
        for kept in all_kept:
            name = goal.name(kept.collection.name)
            there = {(one.field, one.name) for one in indexes(server, name)}
            for index in kept.collection.indexes:
                if (index.field, index.name) not in there:
                    create_index(server, name, index.field, index.name, index.params)
        for kept in all_kept:
            wait_indexes(context, server, goal.name(kept.collection.name))
        loaded = [kept for kept in all_kept if kept.collection.loaded]
        for kept in loaded:
            begin_load(server, goal.name(kept.collection.name), _replicas(context, server, kept.collection))
        for kept in loaded:
            wait_loaded(context, server, goal.name(kept.collection.name))

    def _insert(
        self,
        server: Connection,
        old: Collection,
        name: str,
        partition: str | None,
        rows: int,
        fields: Any,
        explicit: bool,
    ) -> None:
        columns = compact(fields)
        if old.makes_keys and not explicit:
            columns = [one for one in columns if one.field_name != old.key.name]
        for one in columns:
            if one.field_name == META:
                one.is_dynamic = True
        done = server.call(
            "Insert",
            "InsertRequest",
            seconds=600.0,
            collection_name=name,
            partition_name=partition or "",
            fields_data=columns,
            num_rows=rows,
        )
        if done.insert_cnt != rows:
            raise AegisError(
                "milvus-rows-refused",
                "the server took fewer rows than it was given",
                f"{server.where}: {done.insert_cnt} of {rows}",
                "see its log; nothing that serves was touched",
            )


def create(server: Connection, old: Collection, name: str) -> bool:
    """Makes a collection like another, without its time to live; says whether keys may be given to it."""
    schema = message("CollectionSchema")
    schema.CopyFrom(old.schema)
    schema.name = name
    for function in getattr(schema, "functions", ()):
        function.id = 0
        function.ClearField("input_field_ids")
        function.ClearField("output_field_ids")
    properties = {key: value for key, value in old.properties.items() if key != TTL}
    wanted: dict[str, Any] = {
        "collection_name": name,
        "schema": schema.SerializeToString(),
        "shards_num": old.shards,
        "consistency_level": old.consistency,
        "properties": pairs(properties),
    }
    if old.by_partition_key and not server.lite:
        wanted["num_partitions"] = len(old.partitions)
    server.call("CreateCollection", "CreateCollectionRequest", **wanted)
    return not old.makes_keys or properties.get(EXPLICIT, "").lower() == "true"


def drop(server: Connection, name: str) -> None:
    """Drops a collection of this very name, and nothing that an alias of that name leads to."""
    if describe(server, name) is not None:
        server.call("DropCollection", "DropCollectionRequest", collection_name=name)


def flush(context: Context, server: Connection, names: list[str]) -> None:
    """Makes all that was inserted durable."""
    if not names:
        return
    done = server.call("Flush", "FlushRequest", collection_names=names)
    for name in names:
        segments = list(done.coll_segIDs[name].data) if name in done.coll_segIDs else []
        moment = done.coll_flush_ts.get(name, 0)
        while not server.call(
            "GetFlushState", "GetFlushStateRequest", segmentIDs=segments, collection_name=name, flush_ts=moment
        ).flushed:
            context.progress("flush")
            time.sleep(0.1)


def _replicas(context: Context, server: Connection, old: Collection) -> int:
    if old.replicas > 1:
        context.find(
            "note",
            "milvus-one-replica",
            "a restored collection is loaded once where the old one was loaded several times",
            f"{server.where}: it had {old.replicas} replicas",
            "load it with more replicas when there are query nodes for them",
        )
    return 1


def _refuse_taken(server: Connection, name: str) -> None:
    if describe(server, name) is not None:
        raise AegisError(
            "milvus-place-taken",
            "there is a database already where a restore would go beside",
            f"{server.where}: it holds a collection of the same name",
            "name another path with --beside",
        )


ACTION = Load()
