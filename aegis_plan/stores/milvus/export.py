"""One backup of a Milvus database being taken: a stream of rows for each collection, and what they are at the end.

A set is labelled exact only where nobody else could write while it was read; everything else is fuzzy.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

from aegis_plan.actions.contract import Context
from aegis_plan.clock import stamp
from aegis_plan.errors import AegisError
from aegis_plan.stores.milvus import lite
from aegis_plan.stores.milvus.collection import Collection, describe, names
from aegis_plan.stores.milvus.connection import RefusedError, connect
from aegis_plan.stores.milvus.lineage import lineage_of
from aegis_plan.stores.milvus.model import BackupParams, Server
from aegis_plan.stores.milvus.paging import HIGHEST, Reader, count, fresh, withheld
from aegis_plan.stores.milvus.reading import Opened, open_to_read, put_back, put_back_earlier
from aegis_plan.stores.milvus.rows import end, frame, head
from aegis_plan.stores.milvus.staged import ours

FORMAT = 1
OLDEST_READER = 1
SCHEMA = "schema"


class Source:
    """See `stores.contract.Source`. Made by the driver; `close` ends its connection."""

    method: Literal["full", "incremental"] = "full"
    expected = 0

    def __init__(self, context: Context, params: BackupParams) -> None:
        self._context, self._params = context, params
        declared = context.declared.stores[params.store].members[params.member]
        self._declared = Server.model_validate(declared.server)
        self._server = connect(context, params.store, params.member)
        self._opened: list[Opened] = []
        self._kept: list[dict[str, Any]] = []
        self._rows = self._counted = self._withheld = 0
        self._highest = False
        self._pinned: list[int] = []
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        server, where = self._server, self._server.where
        if server.lite and lite.too_old(server.version):
            raise lite.refused_version(where, server.version)
        found = lineage_of(self._context, self._params.store, self._params.member, server)
        if found != self._params.lineage:
            raise AegisError(
                "milvus-lineage-changed",
                "another Milvus answers than was planned for",
                f"{where}: it is {found}, the plan was made for {self._params.lineage}",
                "make a new plan; if the server was replaced by mistake, look before backing it up",
            )
        put_back_earlier(self._context, server)
        self.begun = self._context.clock.now()
        self._names = list(self._declared.collections) or [one for one in names(server) if not ours(one)]
        self._collections = [self._known(name) for name in self._names]

    def _known(self, name: str) -> Collection:
        found = describe(self._server, name)
        if found is None:
            raise AegisError(
                "milvus-collection-missing",
                "a collection that is to be backed up is not there",
                f"{self._server.where}: {name}",
                "correct `collections` of the member's server; an alias is not the name of a collection",
            )
        return found

    def archives(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """`rows-<number>` for each collection, and `schema`."""
        for number, collection in enumerate(self._collections):
            yield f"rows-{number:05d}", self._export(number, collection)
        yield SCHEMA, iter([self._schema()])

    def _export(self, number: int, collection: Collection) -> Iterator[bytes]:
        opened = open_to_read(self._context, self._server, collection)
        self._opened.append(opened)
        reader = Reader(self._server, collection)
        before = count(self._server, collection.name, reader.moment)
        parts: list[str | None] = [None] if collection.by_partition_key else list(collection.partitions)
        each = [0] * len(parts)
        self._highest = False
        yield head()
        for at, partition in enumerate(parts):
            for page in reader.pages(partition):
                each[at] += page.rows
                self._highest = self._highest or page.keys[-1] == HIGHEST
                yield frame(at, page.rows, page.fields)
        yield end(sum(each))
        now = fresh(self._server)
        after = count(self._server, collection.name, now)
        if not self._highest:
            self._withheld += withheld(self._server, collection, now)
        still = self._still(collection)
        self._settle(opened)
        self._rows += sum(each)
        self._counted += after
        self._pinned.append(reader.pinned)
        data = replace(still, loaded=collection.loaded, loaded_partitions=collection.loaded_partitions).as_data()
        self._kept.append(
            {**data, "archive": f"rows-{number:05d}", "rows": sum(each), "each": each, "counted": [before, after]}
        )

    def _still(self, collection: Collection) -> Collection:
        """It as it is after its rows were read; raises where it is another one by then, or has other fields."""
        now = describe(self._server, collection.name)
        if (
            now is None
            or now.identity != collection.identity
            or now.schema != collection.schema
            or now.partitions != collection.partitions
        ):
            raise AegisError(
                "milvus-changed-meanwhile",
                "a collection was made anew or changed its fields or partitions while it was read",
                self._server.where,
                "it is tried again; back up when nothing of the kind is done",
            )
        own = {one.field for one in collection.indexes}
        return replace(now, indexes=tuple(one for one in now.indexes if one.field in own))

    def _settle(self, opened: Opened) -> None:
        put_back(self._server, opened)
        self._opened.remove(opened)
        if opened.loaded and not self._server.exclusive:
            self._context.mark("closed", collection=opened.collection.identity)

    def _schema(self) -> bytes:
        self.ended = self._context.clock.now()
        return json.dumps(
            {
                "format": FORMAT,
                "oldest_reader": OLDEST_READER,
                "version": self._server.version,
                "lite": self._server.lite,
                "database": {"name": self._declared.database, "properties": self._properties()},
                "collections": self._kept,
            },
            sort_keys=True,
        ).encode()

    def _properties(self) -> dict[str, str]:
        try:
            found = self._server.call("DescribeDatabase", "DescribeDatabaseRequest", db_name=self._declared.database)
        except RefusedError as error:
            if error.number != -12:  # servers before 2.4 have no properties of databases
                raise
            return {}
        return {pair.key: pair.value for pair in found.properties}

    def members(self) -> list[list[Any]]:
        return []

    def close(self) -> None:
        for opened in list(self._opened):
            with contextlib.suppress(AegisError):
                put_back(self._server, opened)
        self._opened.clear()
        self._server.close()

    def finish(self) -> dict[str, Any]:
        """Rows that the server counts beyond those that were read are told: equal keys, or writes meanwhile."""
        exact = self._server.exclusive
        if self._counted != self._rows:
            self._context.find(
                "note" if exact else "warning",
                "milvus-rows-differ",
                "the server counts other rows than were backed up",
                f"{self._server.where}: it counts {self._counted}, {self._rows} with keys of their own were read",
                "of rows with equal keys one is kept; the rest was written or deleted meanwhile",
            )
        if self._withheld:
            self._context.find(
                "warning",
                "milvus-row-withheld",
                "the server counts rows that it gives to nobody",
                f"{self._server.where}: {self._withheld} with the largest key there is, {HIGHEST}",
                "give them another key; no query, search or backup sees them as they are",
            )
        consistency: Literal["exact", "fuzzy"] = "exact" if exact else "fuzzy"
        details = {
            "version": self._server.version,
            "lite": self._server.lite,
            "collections": len(self._kept),
            "rows": self._rows,
            "counted": self._counted,
            "withheld": self._withheld,
            "pinned": bool(self._pinned) and all(self._pinned),
        }
        self.close()
        return {
            "method": "full",
            "begun": self.begun,
            "begin": stamp(self.begun),
            "end": stamp(self.ended),
            # Nobody could write until now: what was read is how it is.
            "not_before": self.ended if exact else self.begun,
            "not_after": self.ended,
            "consistency": consistency,
            "details": details,
        }
