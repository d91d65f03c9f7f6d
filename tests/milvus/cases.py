"""Random collections: every type that a kind of server has, with rows that lie at the edges of what it takes."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from pymilvus import DataType, MilvusClient, MilvusException

TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs",)), min_size=0, max_size=12
)
FLOAT = st.floats(width=32, allow_nan=False, allow_infinity=False)
SPAN = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}
PLAIN = [DataType.BOOL, *SPAN, DataType.FLOAT, DataType.DOUBLE, DataType.VARCHAR]
LITE_ONLY = (DataType.GEOMETRY, DataType.TIMESTAMPTZ)
PLACES = ["POINT (1 2)", "POINT (-73.5 40.25)"]
MOMENTS = ["2025-01-02T03:04:05Z", "1999-12-31T23:59:59.123456Z", "2026-11-24T00:00:00+09:00"]


@dataclass(frozen=True)
class Field:
    """One field beside the key."""

    name: str
    type: DataType
    of: DataType | None = None
    nullable: bool = False
    default: Any = None
    dim: int = 0
    partition_key: bool = False


@dataclass(frozen=True)
class Case:
    """One collection with its rows, by partition."""

    name: str
    key: DataType
    fields: tuple[Field, ...]
    dynamic: bool
    partitions: tuple[str, ...]
    aliases: tuple[str, ...]
    ttl: bool
    loaded: bool
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def _number(bits: int) -> st.SearchStrategy[int]:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return st.one_of(st.sampled_from([low, high, 0, -1, 1]), st.integers(low, high))


def _document() -> st.SearchStrategy[Any]:
    leaf = st.one_of(st.booleans(), st.integers(-(2**53), 2**53), FLOAT, TEXT, st.none())
    inner = st.recursive(
        leaf, lambda deeper: st.one_of(st.lists(deeper, max_size=3), st.dictionaries(TEXT, deeper, max_size=3)),
        max_leaves=4,
    )  # fmt: skip
    # A text or number as the whole document is read back by Milvus Lite as what it looks like.
    return st.dictionaries(TEXT, inner, max_size=3)


def value(one: Field) -> st.SearchStrategy[Any]:
    """What a field may hold."""
    if one.type in SPAN:
        return _number(SPAN[one.type])
    if one.type == DataType.ARRAY:
        assert one.of is not None
        return st.lists(value(Field("", one.of)), max_size=4)
    if one.type == DataType.FLOAT_VECTOR:
        return st.lists(FLOAT, min_size=one.dim, max_size=one.dim)
    if one.type in (DataType.FLOAT16_VECTOR, DataType.BFLOAT16_VECTOR):
        return st.lists(st.floats(-100, 100, width=16), min_size=one.dim, max_size=one.dim).map(
            lambda found: _half(found, one.type)
        )
    if one.type == DataType.BINARY_VECTOR:
        return st.binary(min_size=one.dim // 8, max_size=one.dim // 8)
    if one.type == DataType.SPARSE_FLOAT_VECTOR:
        return st.dictionaries(st.integers(0, 2**31), st.floats(0.125, 100, width=32), min_size=1, max_size=4)
    return {
        DataType.BOOL: st.booleans(),
        DataType.FLOAT: FLOAT,
        DataType.DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
        DataType.VARCHAR: TEXT,
        DataType.JSON: _document(),
        DataType.GEOMETRY: st.sampled_from(PLACES),
        DataType.TIMESTAMPTZ: st.sampled_from(MOMENTS),
    }[one.type]


def _half(found: list[float], kind: DataType) -> bytes:
    if kind == DataType.FLOAT16_VECTOR:
        return struct.pack(f"<{len(found)}e", *found)
    return b"".join(struct.pack("<f", number)[2:] for number in found)


@st.composite
def case(draw: st.DrawFn, name: str, lite: bool) -> Case:
    """A collection that this kind of server takes."""
    key = draw(st.sampled_from([DataType.INT64, DataType.VARCHAR]))
    # The server of the tests makes no index on bfloat16 vectors, and loads no field without one.
    full = [DataType.FLOAT_VECTOR, DataType.BINARY_VECTOR, DataType.FLOAT16_VECTOR]
    vectors = [DataType.FLOAT_VECTOR, DataType.SPARSE_FLOAT_VECTOR] if lite else full
    kinds = [draw(st.sampled_from(vectors))]
    if lite and draw(st.booleans()):
        kinds.append(DataType.FLOAT_VECTOR)
    fields = [
        Field(f"v{at}", kind, dim=16 if kind == DataType.BINARY_VECTOR else draw(st.sampled_from([2, 4, 8])))
        for at, kind in enumerate(kinds)
    ]
    scalars = [*PLAIN, DataType.JSON, DataType.ARRAY, *(LITE_ONLY if lite else ())]
    for at, kind in enumerate(draw(st.lists(st.sampled_from(scalars), max_size=5))):
        nullable = lite and draw(st.booleans())
        default = draw(value(Field("", kind))) if lite and kind in PLAIN[1:] and draw(st.booleans()) else None
        of = draw(st.sampled_from(PLAIN)) if kind == DataType.ARRAY else None
        fields.append(Field(f"f{at}", kind, of, nullable, default))
    parted = draw(st.sampled_from([(), (), ("p1",), ("p1", "p 2" if lite else "p2")]))
    if not parted and draw(st.integers(0, 3)) == 0:
        fields.append(Field("part", draw(st.sampled_from([DataType.INT64, DataType.VARCHAR])), partition_key=True))
    dynamic = draw(st.booleans())
    rows: dict[str, list[dict[str, Any]]] = {}
    keys = TEXT if key == DataType.VARCHAR else _number(64)
    for partition in ("_default", *parted):
        found = draw(st.lists(keys, unique=True, max_size=12))
        rows[partition] = [_row(draw, one, fields, dynamic) for one in found]
    return Case(
        name, key, tuple(fields), dynamic, parted,
        draw(st.sampled_from([(), (f"{name}_now",), (f"{name}_now", f"{name}_too")])),
        draw(st.booleans()), draw(st.booleans()), rows,
    )  # fmt: skip


def _row(draw: st.DrawFn, key: Any, fields: list[Field], dynamic: bool) -> dict[str, Any]:
    row = {"id": key}
    for one in fields:
        if one.nullable and draw(st.booleans()):
            row[one.name] = None
        elif one.default is None or draw(st.booleans()):
            row[one.name] = draw(value(one))
    if dynamic and draw(st.booleans()):
        row["more"] = draw(st.one_of(st.integers(-5, 5), TEXT, st.lists(st.integers(0, 3), max_size=2)))
    return row


INDEX = {
    DataType.FLOAT_VECTOR: ("HNSW", "L2", {"M": 8, "efConstruction": 32}),
    DataType.SPARSE_FLOAT_VECTOR: ("SPARSE_INVERTED_INDEX", "IP", {}),
    DataType.BINARY_VECTOR: ("BIN_FLAT", "HAMMING", {}),
    DataType.FLOAT16_VECTOR: ("FLAT", "L2", {}),
    DataType.BFLOAT16_VECTOR: ("FLAT", "L2", {}),
}


def make(client: MilvusClient, made: Case) -> None:
    """Makes it on a server, with its rows."""
    schema = client.create_schema(auto_id=False, enable_dynamic_field=made.dynamic)
    schema.add_field("id", made.key, is_primary=True, **({"max_length": 200} if made.key == DataType.VARCHAR else {}))
    for one in made.fields:
        more: dict[str, Any] = {"dim": one.dim} if one.dim and one.type != DataType.SPARSE_FLOAT_VECTOR else {}
        if DataType.VARCHAR in (one.type, one.of):
            more["max_length"] = 200
        if one.type == DataType.ARRAY:
            more |= {"element_type": one.of, "max_capacity": 8}
        if one.nullable:
            more["nullable"] = True
        if one.default is not None:
            more["default_value"] = one.default
        if one.partition_key:
            more["is_partition_key"] = True
        schema.add_field(one.name, one.type, **more)
    index = client.prepare_index_params()
    for one in made.fields:
        if one.type in INDEX:
            kind, metric, params = INDEX[one.type]
            index.add_index(one.name, index_type=kind, metric_type=metric, params=params)
    properties = {"collection.ttl.seconds": "86400"} if made.ttl else {}
    client.create_collection(made.name, schema=schema, properties=properties)
    for partition in made.partitions:
        client.create_partition(made.name, partition)
    for partition, rows in made.rows.items():
        if rows:
            parted = {} if any(one.partition_key for one in made.fields) else {"partition_name": partition}
            client.insert(made.name, rows, **parted)
    for alias in made.aliases:
        client.create_alias(made.name, alias)
    client.create_index(made.name, index)
    if made.loaded:
        client.load_collection(made.name)


def contents(client: MilvusClient, name: str) -> dict[str, Any]:
    """All there is to see of a collection, by the client library: what it is, and every row by its key."""
    known = client.describe_collection(name)
    state = client.get_load_state(name)["state"]
    client.load_collection(name)
    by_key = any(one.get("is_partition_key") for one in known["fields"])
    rows: dict[str, dict[Any, Any]] = {}
    for partition in [None] if by_key else sorted(client.list_partitions(name)):
        where = {"partition_names": [partition]} if partition else {}
        found = client.query(
            name, filter="", output_fields=["*"], limit=16_000, consistency_level="Strong", timeout=60, **where
        )
        keyed = {row["id"]: _bits(dict(row)) for row in found}
        assert len(keyed) == len(found)
        rows[partition or ""] = keyed
    if str(state) != "Loaded":
        client.release_collection(name)
    listed = [client.describe_index(name, one) for one in sorted(client.list_indexes(name))]
    indexes = [{key: one[key] for key in ("index_name", "field_name", "index_type", "metric_type")} for one in listed]
    kept = ("fields", "properties", "enable_dynamic_field", "num_partitions", "num_shards", "consistency_level")
    return {
        "schema": {key: known[key] for key in kept if key in known},
        "aliases": sorted(_aliases(client, name, known)),
        "indexes": indexes,
        "loaded": str(state),
        "rows": rows,
    }


def _aliases(client: MilvusClient, name: str, known: dict[str, Any]) -> list[str]:
    """Milvus Lite lists them, and the full server names them where it describes a collection."""
    try:
        return list(known["aliases"] or client.list_aliases(name)["aliases"])
    except MilvusException:
        return []


def _bits(row: dict[str, Any]) -> dict[str, Any]:
    """A row that can be compared: floats by their bits, so that 0.0 and -0.0 differ."""
    return {name: json.dumps(found) if isinstance(found, float) else _vector(found) for name, found in row.items()}


def _vector(found: Any) -> Any:
    if isinstance(found, list) and found and all(isinstance(one, float) for one in found):
        return struct.pack(f"<{len(found)}d", *found)
    if isinstance(found, list):
        return [_vector(one) for one in found]
    return found
