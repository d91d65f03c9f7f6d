"""The step `compare`: holds restored collections against what was backed up, before anything serves them.

Counts, every key, each partition, whole pages bit for bit, and a search that has to find a stored vector.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.errors import DamageError
from aegis_plan.stores.milvus.collection import VECTORS, Collection, describe
from aegis_plan.stores.milvus.connection import Connection, message, pairs
from aegis_plan.stores.milvus.model import LoadParams
from aegis_plan.stores.milvus.paging import MOST_ROWS, Reader, between, count, fresh, keys_of, page_of
from aegis_plan.stores.milvus.reading import open_to_read, put_back, put_back_earlier
from aegis_plan.stores.milvus.rows import compact
from aegis_plan.stores.milvus.staged import Kept, folder_of, remove, require
from aegis_plan.stores.milvus.target import Goal, open_goal

SAMPLES = 24
"""Pages of each collection that are compared whole."""
_JSON = 23
_HALF = (102, 103, 105)
_LARGE = 1e15
_SEARCH = {"nprobe": 64, "ef": 64, "search_list": 64}


class Compare:
    """Compare with what was backed up."""

    kind = "compare"

    def probe(self, context: Context) -> Probed:
        done = next((mark for mark in context.marks if mark.name == "compared"), None)
        return Probed("satisfied", outputs=dict(done.data)) if done is not None else Probed("needed")

    def act(self, context: Context) -> Done:
        params = LoadParams.model_validate(context.attempt.params)
        found = self.probe(context)
        if found.answer == "satisfied":
            return Done(found.outputs)
        held = require(context, params.store)
        keys = rows = 0
        goal = open_goal(context, params)
        with goal.server as server:
            put_back_earlier(context, server)
            for kept in held.kept:
                context.progress("compare", keys, sum(one.rows for one in held.kept), "rows")
                keys += kept.rows
                made = describe(server, goal.name(kept.collection.name))
                if made is None:
                    raise _differs(server, "a restored collection is not there")
                opened = open_to_read(context, server, made)
                try:
                    rows += _one(context, server, made, kept)
                finally:
                    put_back(server, opened)
            if params.beside is not None:
                self._told(params.beside, goal, held.kept)
        outputs = {"rows": keys, "rows_compared_whole": rows}
        context.mark("compared", **outputs)
        if params.beside is not None:
            remove(folder_of(context, params.store))
        return Done(outputs)

    def undo(self, context: Context) -> Done:
        return Done()

    def _told(self, beside: str, goal: Goal, all_kept: list[Kept]) -> None:
        """Where what lies: only in this file do the names of data stand."""
        if goal.alone:
            return
        path = Path(beside) / "restored.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps({kept.collection.name: goal.name(kept.collection.name) for kept in all_kept}, indent=1) + "\n"
        )


def _one(context: Context, server: Connection, made: Collection, kept: Kept) -> int:
    """Compares one collection; gives how many rows were compared whole."""
    moment = fresh(server)
    counted = count(server, made.name, moment)
    if counted != kept.rows:
        raise _differs(server, f"{counted} rows are there, {kept.rows} were backed up")
    if set(made.partitions) != set(kept.collection.partitions):
        raise _differs(server, "the partitions are others than were backed up")
    renewed = kept.collection.makes_keys and not _keys_given(made)
    reader = Reader(server, made, [made.key.name])
    for number, rows in enumerate(kept.each):
        digest, found = hashlib.sha256(), 0
        for page in reader.pages(kept.partition(number)):
            found += page.rows
            _feed(digest, page.keys)
        if found != rows:
            raise _differs(server, f"a partition has {found} distinct keys, {rows} were backed up")
        if not renewed and digest.digest() != _keys_kept(kept, number):
            raise _differs(server, "the keys of a partition are others than were backed up")
    whole = 0
    for partition, rows, fields in _samples(kept):
        if not renewed:
            _page(server, made, kept.partition(partition), rows, fields, moment)
            whole += rows
        _search(context, server, made, fields, renewed, moment)
    return whole


def _keys_given(made: Collection) -> bool:
    from aegis_plan.stores.milvus.load import EXPLICIT

    return made.properties.get(EXPLICIT, "").lower() == "true"


def _feed(digest: Any, keys: Iterable[int | str]) -> None:
    for key in keys:
        data = key.encode() if isinstance(key, str) else struct.pack(">q", key)
        digest.update(struct.pack(">I", len(data)) + data)


def _keys_kept(kept: Kept, number: int) -> bytes:
    digest = hashlib.sha256()
    for partition, _, fields in kept.frames():
        if partition == number:
            _feed(digest, keys_of(kept.collection, fields))
    return digest.digest()


def _samples(kept: Kept) -> Iterable[tuple[int, int, Any]]:
    """The first and last page, and others evenly between."""
    total = sum(1 for _ in kept.frames())
    wanted = {round(at * (total - 1) / max(1, SAMPLES - 1)) for at in range(SAMPLES)} if total else set()
    return (frame for at, frame in enumerate(kept.frames()) if at in wanted)


def _page(
    server: Connection, made: Collection, partition: str | None, rows: int, fields: Any, moment: dict[str, Any]
) -> None:
    keys = keys_of(made, fields)
    expression = between(made.key.name, keys[0], keys[-1])
    wanted = {one.field_name: _canonical(one) for one in compact(fields)}
    answer = server.call(
        "Query", "QueryRequest", collection_name=made.name, expr=expression, output_fields=made.readable,
        partition_names=[partition] if partition is not None else [], **moment,
        query_params=pairs(page_of(min(MOST_ROWS, rows + 1))),
    )  # fmt: skip
    got = {one.field_name: _canonical(one) for one in compact(answer.fields_data)}
    for field, value in wanted.items():
        if got.get(field) != value:
            kind = next((one.data_type for one in made.schema.fields if one.name == field), 0)
            raise _differs(server, f"a field of type {kind} differs in a page of {rows} rows")


def _canonical(column: Any) -> Any:
    """A column to compare: bits as they are, and JSON without regard to its spaces and order."""
    made = message("FieldData")
    made.CopyFrom(column)
    if all(made.valid_data):
        made.ClearField("valid_data")
    if made.type == _JSON:
        return list(made.valid_data), [_plain(value) for value in made.scalars.json_data.data]
    made.is_dynamic = False
    if made.WhichOneof("field") == "vectors" and made.vectors.WhichOneof("data") == "sparse_float_vector":
        return list(made.valid_data), list(made.vectors.sparse_float_vector.contents)
    return made.SerializeToString(deterministic=True)


def _plain(value: bytes) -> Any:
    try:
        return json.dumps(json.loads(value), sort_keys=True)
    except ValueError:
        return value


def _search(
    context: Context, server: Connection, made: Collection, fields: Any, renewed: bool, moment: dict[str, Any]
) -> None:
    """The first stored vector of each field has to be found by the index that was built."""
    keys = keys_of(made, fields)
    indexed = {one.field: one.params for one in made.indexes}
    for column in fields:
        if column.type not in VECTORS or (made.indexes and column.field_name not in indexed):
            continue
        if column.valid_data and not column.valid_data[0]:
            continue
        first = first_vector(column, len(keys))
        if not first or _overflows(column):
            continue
        value = message("PlaceholderValue", tag="$0", type=column.type, values=[first])
        params = {
            "anns_field": column.field_name,
            "topk": "1",
            "params": json.dumps(_SEARCH),
            "round_decimal": "-1",
        }
        metric = indexed.get(column.field_name, {}).get("metric_type")
        if metric:
            params["metric_type"] = metric
        name = made.key.name
        found = server.call(
            "Search", "SearchRequest", collection_name=made.name,
            dsl="" if renewed else between(name, keys[0], keys[0]), dsl_type=1, nq=1,
            placeholder_group=message("PlaceholderGroup", placeholders=[value]).SerializeToString(),
            search_params=pairs(params), output_fields=[name], **moment,
        ).results  # fmt: skip
        ids = list(found.ids.str_id.data) or list(found.ids.int_id.data)
        if ids and (renewed or ids[0] == keys[0]):
            continue
        if column.type not in _HALF:
            raise _differs(server, "a search does not find a vector that is stored")
        context.find(
            "warning",
            "milvus-search-empty",
            "a search does not find a restored vector of half precision",
            f"{server.where}: version {server.version}; the vectors themselves are bit for bit as they were",
            "search the old collection the same way: some servers store such vectors and find none",
        )


def _overflows(column: Any) -> bool:
    """Whether distances from the first vector are no numbers any more, so that no index could find it."""
    return any(abs(one) > _LARGE for one in column.vectors.float_vector.data[: column.vectors.dim])


def first_vector(column: Any, rows: int) -> bytes:
    """The first vector of a column as a search takes it."""
    held = column.vectors.WhichOneof("data")
    if held == "float_vector":
        return struct.pack(f"<{column.vectors.dim}f", *column.vectors.float_vector.data[: column.vectors.dim])
    if held == "sparse_float_vector":
        contents = column.vectors.sparse_float_vector.contents
        return bytes(contents[0]) if contents else b""
    if held is None:
        return b""
    data = getattr(column.vectors, held)
    wide = {"binary_vector": 1, "int8_vector": 8}.get(held, 16)
    return bytes(data[: column.vectors.dim * wide // 8])


def _differs(server: Connection, why: str) -> DamageError:
    return DamageError(
        "milvus-restored-differs",
        "what was restored is not what was backed up",
        f"{server.where}: {why}",
        "the old collections serve as before; look at the server's log, and restore again or from another set",
    )


ACTION = Compare()
