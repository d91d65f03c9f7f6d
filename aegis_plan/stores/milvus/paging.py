"""Reads the rows of a collection page by page, in the order of their keys, in bounded memory.

It keeps its own place by the last key and never uses the iterator of the client library, which leaves out a row with
the key '' and falls back on the clock of this host. A page that is out of order is an error, never taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aegis_plan.errors import AegisError
from aegis_plan.stores.milvus.collection import VARCHAR, Collection
from aegis_plan.stores.milvus.connection import Connection, RefusedError, pairs

BYTES = 4 << 20
"""What a page should weigh; it is also what goes into one insert."""
MOST_ROWS = 16_384
"""More rows no server gives at once."""
FIRST_ROWS = 64
_STRONG, _CUSTOMIZED = 0, 4
_TOO_LARGE = ("larger than max", "maxOutputSize", "exceeds", "RESOURCE_EXHAUSTED", "Received message")
_LOWEST, HIGHEST = -(2**63), 2**63 - 1
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


@dataclass(frozen=True)
class Page:
    """Rows of one partition; `fields` are the server's own columns."""

    rows: int
    fields: Any
    keys: Any
    size: int


def literal(key: int | str) -> str:
    """A key as an expression of Milvus has it: only these have to be written otherwise, and Milvus Lite knows few
    other ways of writing them."""
    return f'"{key.translate(_ESCAPES)}"' if isinstance(key, str) else str(key)


def after(name: str, key: int | str | None) -> str:
    """The expression for all keys after one. Nothing for the very first page: '' and the lowest number are keys too."""
    if key is None:
        return ""
    if key == _LOWEST:
        return f"{name} >= {_LOWEST + 1}"  # the parser takes the lowest number for two words, and refuses it
    return f"{name} > {literal(key)}"


def withheld(server: Connection, collection: Collection, moment: dict[str, Any]) -> int:
    """How many rows have the one key that some servers count and give to nobody: they take it for the end."""
    if collection.key.data_type == VARCHAR:
        return 0
    name = collection.key.name
    return count(server, collection.name, moment, f"{name} == {HIGHEST}")


def between(name: str, first: int | str, last: int | str) -> str:
    """The expression for the keys from one to another."""
    upper = f"{name} < {_LOWEST + 1}" if last == _LOWEST else f"{name} <= {literal(last)}"
    return upper if first in ("", _LOWEST) else f"{name} >= {literal(first)} and {upper}"


def keys_of(collection: Collection, fields: Any) -> Any:
    """The keys of a page's rows."""
    column = next((one for one in fields if one.field_name == collection.key.name), None)
    if column is None:
        return []
    scalars = column.scalars
    return scalars.string_data.data if collection.key.data_type == VARCHAR else scalars.long_data.data


def page_of(rows: int) -> dict[str, str]:
    """Parameters of a query for the first rows in the order of their keys: no part of a collection that has given all
    that was asked of it may let others go on past it."""
    return {"limit": str(rows), "iterator": "True", "reduce_stop_for_best": "True"}


def fresh(server: Connection) -> dict[str, Any]:
    """What lets a query see all that was written until now, by the server's own clock: waiting for that moment once is
    enough for all pages after it. A server that does not tell its time is asked for the newest each time."""
    try:
        return {
            "consistency_level": _CUSTOMIZED,
            "guarantee_timestamp": server.call("AllocTimestamp", "AllocTimestampRequest").timestamp,
        }
    except AegisError as error:
        if error.code not in ("milvus-refused", "milvus-login-refused"):
            raise
        return {"consistency_level": _STRONG}


class Reader:
    """Reads one collection. `pinned` is the timestamp that the server says all pages share, 0 where it says none."""

    def __init__(self, server: Connection, collection: Collection, names: list[str] | None = None) -> None:
        self.server, self.collection = server, collection
        self.names = names if names is not None else collection.readable
        self.pinned = 0
        self.moment = fresh(server)
        self._rows = FIRST_ROWS

    def pages(self, partition: str | None) -> Iterator[Page]:
        """Every page of a partition, or of all where none is named."""
        last: int | str | None = None
        while True:
            page = self.page(after(self.collection.key.name, last), partition)
            if not page.rows:
                return
            self._in_order(last, page.keys)
            last = page.keys[-1]
            yield page

    def page(self, expression: str, partition: str | None) -> Page:
        """One page of what the expression names, with as many rows as fit."""
        while True:
            try:
                found = self._query(expression, partition, self._rows)
            except RefusedError as error:
                if self._rows == 1 or not any(word in error.reason for word in _TOO_LARGE):
                    raise
                self._rows = max(1, self._rows // 4)
                continue
            if found.session_ts and not self.pinned:
                self.pinned = found.session_ts
                self.moment = {"consistency_level": _STRONG, "guarantee_timestamp": self.pinned}
            keys = keys_of(self.collection, found.fields_data)
            size = found.ByteSize()
            if len(keys):
                fitting = BYTES * len(keys) // max(1, size)
                self._rows = max(1, min(MOST_ROWS, fitting, self._rows * 8))
            return Page(len(keys), found.fields_data, keys, size)

    def _query(self, expression: str, partition: str | None, limit: int) -> Any:
        return self.server.call(
            "Query",
            "QueryRequest",
            collection_name=self.collection.name,
            expr=expression,
            output_fields=self.names,
            partition_names=[partition] if partition is not None else [],
            query_params=pairs(page_of(limit)),
            **self.moment,
        )

    def _in_order(self, last: int | str | None, keys: Any) -> None:
        before = last
        for key in keys:
            if before is not None and not before < key:
                raise AegisError(
                    "milvus-pages-unordered",
                    "the server gives rows out of the order of their keys",
                    f"{self.server.where}: version {self.server.version}; rows could be missing",
                    "use a newer version of the server; nothing was kept of this backup",
                )
            before = key


def count(server: Connection, name: str, moment: dict[str, Any], expression: str = "") -> int:
    """How many rows the server counts; equal keys count as often as they are there."""
    found = server.call(
        "Query",
        "QueryRequest",
        collection_name=name,
        expr=expression,
        output_fields=["count(*)"],
        **moment,
    )
    return int(found.fields_data[0].scalars.long_data.data[0])
