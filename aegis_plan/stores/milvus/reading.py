"""Makes a collection readable for as long as it is needed: loaded, and where it has none, with an index to load by.

What it did is taken back by `put_back`, and written down before, so that the next attempt can do so after a kill.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.stores.milvus.collection import LOADED, Collection, describe, indexes, names
from aegis_plan.stores.milvus.connection import Connection, RefusedError, pairs

WAIT = 1800.0
"""Seconds that loading or indexing may stand still."""
_PREFIX = "aegis_tmp_"


@dataclass
class Opened:
    """What was done to make one readable."""

    collection: Collection
    loaded: bool = False
    indexes: tuple[str, ...] = ()
    """Fields that got one."""


def open_to_read(context: Context, server: Connection, collection: Collection) -> Opened:
    """Loads a collection that is not, or not wholly. Raises UnavailableError `milvus-not-loaded`."""
    done = Opened(collection)
    if collection.loaded and not collection.loaded_partitions:
        return done
    if not server.exclusive:
        context.mark("opening", collection=collection.identity, partitions=len(collection.loaded_partitions))
    if not server.lite:
        has = {one.field for one in collection.indexes}
        without = [one for one in collection.vectors if one.name not in has]
        for one in without:
            create_index(server, collection.name, one.name, _PREFIX + one.name, {
                "index_type": _plain(one.data_type), "metric_type": _metric(one.data_type), "params": "{}",
            })  # fmt: skip
        done.indexes = tuple(one.name for one in without)
        wait_indexes(context, server, collection.name)
    done.loaded = True
    load(context, server, collection.name, 1 if not collection.loaded else collection.replicas)
    return done


def put_back(server: Connection, opened: Opened) -> None:
    """Releases what was loaded for reading, and drops what was made for it."""
    collection = opened.collection
    if not opened.loaded:
        return
    if collection.loaded_partitions:
        release_others(server, collection, collection.loaded_partitions)
        return
    release(server, collection.name)
    for name in opened.indexes:
        server.call(
            "DropIndex", "DropIndexRequest", collection_name=collection.name, field_name=name, index_name=_PREFIX + name
        )


def put_back_earlier(context: Context, server: Connection) -> None:
    """Does the same for what a killed attempt of this step had opened."""
    opened = {int(mark.data["collection"]) for mark in context.marks if mark.name == "opening"}
    closed = {int(mark.data["collection"]) for mark in context.marks if mark.name == "closed"}
    left = opened - closed
    if not left or server.exclusive:
        return
    for name in names(server):
        found = describe(server, name)
        if found is None or found.identity not in left or not found.loaded:
            continue
        made = tuple(one.field for one in found.indexes if one.name.startswith(_PREFIX))
        release(server, name)
        for one in made:
            server.call("DropIndex", "DropIndexRequest", collection_name=name, field_name=one, index_name=_PREFIX + one)


def release_others(server: Connection, collection: Collection, kept: tuple[str, ...]) -> None:
    """Releases all partitions but some."""
    rest = [one for one in collection.partitions if one not in kept]
    if rest:
        server.call(
            "ReleasePartitions", "ReleasePartitionsRequest", collection_name=collection.name, partition_names=rest
        )


def release(server: Connection, name: str) -> None:
    server.call("ReleaseCollection", "ReleaseCollectionRequest", collection_name=name)


def load(context: Context, server: Connection, name: str, replicas: int = 1) -> None:
    """Loads a collection and waits for it."""
    begin_load(server, name, replicas)
    wait_loaded(context, server, name)


def begin_load(server: Connection, name: str, replicas: int = 1) -> None:
    server.call("LoadCollection", "LoadCollectionRequest", collection_name=name, replica_number=replicas)


def wait_loaded(context: Context, server: Connection, name: str) -> None:
    """Waits until it is loaded. Raises UnavailableError `milvus-not-loaded`."""
    last, since = -1, time.monotonic()
    while server.call("GetLoadState", "GetLoadStateRequest", collection_name=name).state != LOADED:
        done = server.call("GetLoadingProgress", "GetLoadingProgressRequest", collection_name=name).progress
        context.progress("load", done, 100, "%")
        if done != last:
            last, since = done, time.monotonic()
        if time.monotonic() - since > WAIT:
            raise UnavailableError(
                "milvus-not-loaded",
                "Milvus does not load a collection",
                f"{server.where}: {done} % for {WAIT:.0f} s",
                "see whether its query nodes run and have memory for it",
            )
        time.sleep(0.1)


def create_index(server: Connection, collection: str, field: str, name: str, params: dict[str, str]) -> None:
    server.call(
        "CreateIndex",
        "CreateIndexRequest",
        collection_name=collection,
        field_name=field,
        index_name=name,
        extra_params=pairs(params),
    )


def wait_indexes(context: Context, server: Connection, name: str) -> None:
    """Waits until every index is built. Raises AegisError `milvus-index-failed`."""
    if server.lite:
        return
    try:
        while True:
            found = server.call("DescribeIndex", "DescribeIndexRequest", collection_name=name).index_descriptions
            failed = [one for one in found if one.state == 4]
            if failed:
                raise AegisError(
                    "milvus-index-failed",
                    "Milvus could not build an index",
                    f"{server.where}: {failed[0].index_state_fail_reason}",
                    "see the log of its index nodes",
                )
            done = sum(one.indexed_rows for one in found)
            context.progress("index", done, sum(one.total_rows for one in found), "rows")
            if all(one.state == 3 and not one.pending_index_rows for one in found):
                return
            time.sleep(0.2)
    except RefusedError:
        if indexes(server, name):
            raise


def _plain(kind: int) -> str:
    return {100: "BIN_FLAT", 104: "SPARSE_INVERTED_INDEX"}.get(kind, "FLAT")


def _metric(kind: int) -> str:
    return {100: "HAMMING", 104: "IP"}.get(kind, "L2")
