"""What is known of one collection: schema, partitions, indexes, aliases, load state. It reads no rows."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

from aegis_plan.stores.milvus.connection import NO_INDEX, NOT_FOUND, Connection, RefusedError, message

VECTORS = {100: "binary_vector", 101: "float_vector", 102: "float16_vector", 103: "bfloat16_vector",
           104: "sparse_float_vector", 105: "int8_vector"}  # fmt: skip
"""Number of a type to the field that holds its data."""
VARCHAR, INT64 = 21, 5
META = "$meta"
LOADED, NOT_LOADED = 3, 1
TTL = "collection.ttl.seconds"


@dataclass(frozen=True)
class Index:
    """One index by its definition."""

    field: str
    name: str
    params: dict[str, str]

    def as_data(self) -> dict[str, Any]:
        return {"field": self.field, "name": self.name, "params": self.params}


@dataclass(frozen=True)
class Collection:
    """A collection as it was described; `schema` is the server's own message."""

    name: str
    schema: Any
    shards: int = 1
    consistency: int = 0
    properties: dict[str, str] = field(default_factory=dict)
    partitions: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()
    loaded: bool = False
    loaded_partitions: tuple[str, ...] = ()
    """Where not all of them are loaded."""
    replicas: int = 1
    identity: int = 0
    """The server's number of it; 0 where it gives none."""

    @property
    def key(self) -> Any:
        """The field of the primary key."""
        return next(one for one in self.schema.fields if one.is_primary_key)

    @property
    def makes_keys(self) -> bool:
        return bool(self.key.autoID or self.schema.autoID)

    @property
    def by_partition_key(self) -> bool:
        """Whether the server spreads rows over partitions by itself; then none may be named."""
        return any(one.is_partition_key for one in self.schema.fields)

    @property
    def readable(self) -> list[str]:
        """The fields that hold data of their own: what a function makes is made again."""
        names = [one.name for one in self.schema.fields if not one.is_function_output]
        names += [one.name for one in getattr(self.schema, "struct_array_fields", ())]
        return [*names, META] if self.schema.enable_dynamic_field else names

    @property
    def vectors(self) -> list[Any]:
        return [one for one in self.schema.fields if one.data_type in VECTORS]

    def as_data(self) -> dict[str, Any]:
        """All of it but the server's own number, as a set keeps it."""
        return {
            "name": self.name,
            "schema": base64.b64encode(self.schema.SerializeToString()).decode(),
            "shards": self.shards,
            "consistency": self.consistency,
            "properties": self.properties,
            "partitions": list(self.partitions),
            "aliases": list(self.aliases),
            "indexes": [one.as_data() for one in self.indexes],
            "loaded": self.loaded,
            "loaded_partitions": list(self.loaded_partitions),
            "replicas": self.replicas,
        }


def read(data: dict[str, Any]) -> Collection:
    """The inverse of `as_data`."""
    schema = message("CollectionSchema")
    schema.ParseFromString(base64.b64decode(data["schema"]))
    return Collection(
        name=data["name"], schema=schema, shards=data["shards"], consistency=data["consistency"],
        properties=dict(data["properties"]), partitions=tuple(data["partitions"]), aliases=tuple(data["aliases"]),
        indexes=tuple(Index(one["field"], one["name"], dict(one["params"])) for one in data["indexes"]),
        loaded=data["loaded"], loaded_partitions=tuple(data["loaded_partitions"]), replicas=data["replicas"],
    )  # fmt: skip


def names(server: Connection) -> list[str]:
    """Every collection of the database."""
    found = server.call("ShowCollections", "ShowCollectionsRequest")
    return sorted(found.collection_names)


def describe(server: Connection, name: str) -> Collection | None:
    """What the server says of a collection; None where there is none of this very name."""
    try:
        found = server.call("DescribeCollection", "DescribeCollectionRequest", collection_name=name)
    except RefusedError as error:
        if error.number in NOT_FOUND or "not found" in error.reason or "can't find" in error.reason:
            return None
        raise
    if name in found.aliases or (found.collection_name and found.collection_name != name):
        return None  # an alias: the full server repeats it, Milvus Lite names what it leads to
    schema = found.schema
    for one in schema.fields:
        one.fieldID = 0
    partitions = tuple(server.call("ShowPartitions", "ShowPartitionsRequest", collection_name=name).partition_names)
    state, loaded_partitions = load_state(server, name, partitions)
    return Collection(
        name=name,
        schema=schema,
        shards=found.shards_num or 1,
        consistency=int(found.consistency_level),
        properties={pair.key: pair.value for pair in found.properties},
        partitions=partitions,
        aliases=_aliases(server, name, found),
        indexes=indexes(server, name),
        loaded=state,
        loaded_partitions=loaded_partitions,
        replicas=_replicas(server, name, found.collectionID) if state else 1,
        identity=found.collectionID,
    )


def _aliases(server: Connection, name: str, found: Any) -> tuple[str, ...]:
    try:
        listed = server.call("ListAliases", "ListAliasesRequest", collection_name=name)
    except RefusedError as error:
        if error.number != -12:
            raise
        return tuple(sorted(found.aliases))
    return tuple(sorted(set(listed.aliases) | set(found.aliases)))


def indexes(server: Connection, name: str) -> tuple[Index, ...]:
    """The definitions of all indexes of a collection."""
    try:
        found = server.call("DescribeIndex", "DescribeIndexRequest", collection_name=name)
    except RefusedError as error:
        if error.number in NO_INDEX or "index not" in error.reason or "no index" in error.reason:
            return ()
        raise
    return tuple(
        Index(one.field_name, one.index_name, {pair.key: pair.value for pair in one.params})
        for one in found.index_descriptions
    )


def load_state(server: Connection, name: str, partitions: tuple[str, ...]) -> tuple[bool, tuple[str, ...]]:
    """Whether it is loaded, and which partitions are where not all of them are."""
    if server.call("GetLoadState", "GetLoadStateRequest", collection_name=name).state != LOADED:
        return False, ()
    if server.lite:
        return True, ()
    states = {
        one: server.call("GetLoadState", "GetLoadStateRequest", collection_name=name, partition_names=[one]).state
        for one in partitions
    }
    part = tuple(one for one, state in states.items() if state == LOADED)
    return True, part if len(part) < len(partitions) else ()


def _replicas(server: Connection, name: str, identity: int) -> int:
    try:
        found = server.call("GetReplicas", "GetReplicasRequest", collection_name=name, collectionID=identity)
    except RefusedError:
        return 1
    return max(1, len(found.replicas))
