"""How the rows of one collection lie in a set: frames of columns, each with its partition. It opens nothing."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

from aegis_plan.errors import DamageError
from aegis_plan.stores.milvus.connection import message

MAGIC = b"AEGISMV1"
_HEAD = struct.Struct(">III")
_END = 0xFFFFFFFF


def head() -> bytes:
    """What an archive begins with."""
    return MAGIC


def frame(partition: int, rows: int, fields: Any) -> bytes:
    """Columns of rows of one partition, by its number."""
    body: bytes = message("QueryResults", fields_data=fields).SerializeToString()
    return _HEAD.pack(partition, rows, len(body)) + body


def end(rows: int) -> bytes:
    """The last frame, which says how many rows there were."""
    return _HEAD.pack(_END, 0, 8) + struct.pack(">Q", rows)


def frames(stream: BinaryIO) -> Iterator[tuple[int, int, Any]]:
    """Partition, count and columns of each frame. Raises DamageError `milvus-rows-cut`."""
    if stream.read(len(MAGIC)) != MAGIC:
        raise _cut("it does not begin as one")
    total = 0
    while True:
        first = stream.read(_HEAD.size)
        if len(first) < _HEAD.size:
            raise _cut(f"it ends after {total} rows without saying so")
        partition, rows, size = _HEAD.unpack(first)
        body = stream.read(size)
        if len(body) < size:
            raise _cut(f"it ends in the middle of a page after {total} rows")
        if partition == _END:
            if struct.unpack(">Q", body)[0] != total or stream.read(1):
                raise _cut(f"{total} rows, and it says otherwise")
            return
        found = message("QueryResults")
        found.ParseFromString(body)
        total += rows
        yield partition, rows, found.fields_data


def _cut(why: str) -> DamageError:
    return DamageError(
        "milvus-rows-cut",
        "the rows of a collection in a backup end too early",
        why,
        "use another set; take a full backup soon",
    )


def compact(fields: Any) -> list[Any]:
    """Columns as an insert takes them: of a column with nulls only the values that are none."""
    found = []
    for column in fields:
        made = message("FieldData")
        made.CopyFrom(column)
        made.field_id = 0
        valid = list(made.valid_data)
        if valid and not all(valid):
            _without_nulls(made, valid)
        found.append(made)
    return found


def _without_nulls(column: Any, valid: list[bool]) -> None:
    wanted = sum(valid)
    kind = column.WhichOneof("field")
    if kind == "scalars":
        values = getattr(column.scalars, column.scalars.WhichOneof("data") or "long_data")
        _keep(values.data, valid, 1, wanted)
    elif kind == "vectors":
        held = column.vectors.WhichOneof("data")
        if held == "float_vector":
            _keep(column.vectors.float_vector.data, valid, column.vectors.dim, wanted)
        elif held == "sparse_float_vector":
            _keep(column.vectors.sparse_float_vector.contents, valid, 1, wanted)
        elif held is not None:
            data = getattr(column.vectors, held)
            if len(data) % len(valid) == 0 and len(data):
                width = len(data) // len(valid)
                kept = (data[at * width : (at + 1) * width] for at, ok in enumerate(valid) if ok)
                setattr(column.vectors, held, b"".join(kept))


def _keep(data: Any, valid: list[bool], width: int, wanted: int) -> None:
    if len(data) != len(valid) * width or wanted == len(valid):
        return  # it holds no places of nulls
    kept = [value for at, ok in enumerate(valid) if ok for value in data[at * width : (at + 1) * width]]
    del data[:]
    data.extend(kept)
