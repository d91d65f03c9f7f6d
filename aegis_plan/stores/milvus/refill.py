"""Puts an unsealed backup of Milvus into a server without Aegis Plan: one file, for a Python 3.9 or later with the
library `pymilvus`. It reads what `unseal.py set` wrote, and replaces nothing that is there.

    python refill-milvus.py SET ADDRESS [--database NAME]

SET is the folder with `schema` in it. `user:password` or an API key is read from the environment variable SECRET. It
counts what it made, and ends with 1 where that is not what was backed up.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

MAGIC, END = b"AEGISMV1", 0xFFFFFFFF
TTL = "collection.ttl.seconds"


class Wrong(Exception):
    """Told to people as it is."""


def frames(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Partition, number of rows and columns of each page."""
    if file.read(8) != MAGIC:
        raise Wrong("it does not begin as rows of a backup")
    total = 0
    while True:
        partition, count, size = struct.unpack(">III", file.read(12))
        body = file.read(size)
        if partition == END:
            if struct.unpack(">Q", body)[0] != total:
                raise Wrong(f"{total} rows are there, and it says otherwise")
            return
        total += count
        yield partition, count, body


def refilled(options: argparse.Namespace) -> str:
    import grpc  # type: ignore[import-untyped]
    from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc

    data = json.loads((options.set / "schema").read_bytes())
    metadata = [("dbname", options.database)]
    if os.environ.get("SECRET"):
        metadata.append(("authorization", base64.b64encode(os.environ["SECRET"].encode()).decode()))
    largest = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    told = []
    with grpc.insecure_channel(options.address.partition("//")[2] or options.address, largest) as channel:
        stub = milvus_pb2_grpc.MilvusServiceStub(channel)

        def call(name: str, request: str, **fields: Any) -> Any:
            answer = getattr(stub, name)(getattr(milvus_pb2, request)(**fields), metadata=metadata)
            status = getattr(answer, "status", answer)
            if status.error_code or status.code:
                raise Wrong(f"{name}: {status.reason}")
            return answer

        for one in data["collections"]:
            told.append(collection(call, options.set, one))
    return "; ".join(told)


def collection(call: Any, folder: Path, one: dict[str, Any]) -> str:
    from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

    def pairs(values: dict[str, str]) -> list[Any]:
        return [common_pb2.KeyValuePair(key=key, value=value) for key, value in values.items()]

    name, schema = one["name"], schema_pb2.CollectionSchema.FromString(base64.b64decode(one["schema"]))
    spread = any(field.is_partition_key for field in schema.fields)
    if name in call("ShowCollections", "ShowCollectionsRequest").collection_names:
        raise Wrong(f"there is a collection {name} already")
    call(
        "CreateCollection", "CreateCollectionRequest", collection_name=name, schema=schema.SerializeToString(),
        shards_num=one["shards"], consistency_level=one["consistency"],
        properties=pairs({key: value for key, value in one["properties"].items() if key != TTL}),
    )  # fmt: skip
    for partition in one["partitions"] if not spread else ():
        if partition != "_default":
            call("CreatePartition", "CreatePartitionRequest", collection_name=name, partition_name=partition)
    made = [field.name for field in schema.fields if field.is_primary_key and (field.autoID or schema.autoID)]
    total = 0
    with (folder / one["archive"]).open("rb") as file:
        for partition, count, body in frames(file):
            columns = list(milvus_pb2.QueryResults.FromString(body).fields_data)
            if any(not all(column.valid_data) for column in columns):
                raise Wrong(f"{name} has columns with nulls, which only Aegis Plan puts back")
            for column in columns:
                column.field_id, column.is_dynamic = 0, column.field_name == "$meta"
            call(
                "Insert", "InsertRequest", collection_name=name, num_rows=count,
                partition_name="" if spread else one["partitions"][partition],
                fields_data=[column for column in columns if column.field_name not in made],
            )  # fmt: skip
            total += count
    call("Flush", "FlushRequest", collection_names=[name])
    for index in one["indexes"]:
        call(
            "CreateIndex", "CreateIndexRequest", collection_name=name, field_name=index["field"],
            index_name=index["name"], extra_params=pairs(index["params"]),
        )  # fmt: skip
    if one["loaded"]:
        call("LoadCollection", "LoadCollectionRequest", collection_name=name, replica_number=1)
        until = time.monotonic() + 3600
        while call("GetLoadState", "GetLoadStateRequest", collection_name=name).state != 3:
            if time.monotonic() > until:
                raise Wrong(f"{name} is not loaded after an hour")
            time.sleep(0.2)
    for alias in one["aliases"]:
        call("CreateAlias", "CreateAliasRequest", collection_name=name, alias=alias)
    if total != one["rows"]:
        raise Wrong(f"{name}: {total} rows of {one['rows']}")
    later = f", with {TTL} {one['properties'][TTL]} before, which is not set" if TTL in one["properties"] else ""
    renewed = ", with new keys, which the server makes" if made else ""
    return f"{name}: {total} rows{renewed}{later}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("set", type=Path)
    parser.add_argument("address")
    parser.add_argument("--database", default="default")
    options = parser.parse_args()
    try:
        print(refilled(options))
    except (Wrong, OSError, struct.error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
