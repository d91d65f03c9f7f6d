"""Reads a whole database through Bolt as lines of text, in bounded memory, counting and summing what went by.

What a read that is no snapshot can bring twice or torn is left out and counted. It never sorts and never collects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from aegis_plan.stores.neo4j.connection import language, speaking
from aegis_plan.stores.neo4j.ids import Marks, Numbers
from aegis_plan.stores.neo4j.model import Counts
from aegis_plan.stores.neo4j.values import PLAIN, PROPERTIES, TYPES, dump, to_json

if TYPE_CHECKING:
    from neo4j import Driver, Transaction

FETCH = 1000
_CHUNK = 128 << 10
_MASK = (1 << 64) - 1
_TIMEOUT = 24 * 3600.0
NODES = f"MATCH (n) WITH n, properties(n) AS p WITH n, p, {TYPES} RETURN id(n), labels(n), {PROPERTIES}"
RELATIONSHIPS = (
    f"MATCH (a)-[r]->(b) WITH a, r, b, properties(r) AS p WITH a, r, b, p, {TYPES}"
    f" RETURN id(r), id(a), id(b), type(r), {PROPERTIES}"
)


def _hash(*parts: bytes) -> int:
    # Never 0, which says that there is no such node.
    return int.from_bytes(blake2b(b"".join(parts), digest_size=8).digest(), "big") | 1


class Reading:
    """One pass over one database in one read transaction; `close` ends it."""

    def __init__(self, driver: Driver, database: str, where: str, run: str, check: Callable[[], None]) -> None:
        self._where, self._check = where, check
        self._known = Numbers()
        self._labels: Counter[str] = Counter()
        self._types: Counter[str] = Counter()
        self._nodes = self._relationships = self._nodes_sum = self._relationships_sum = 0
        self.doubles = 0
        """Nodes and relationships that came more than once."""
        self.torn = 0
        """Relationships of which an end was not among the nodes."""
        self._language = language(driver, database, where)
        with speaking(where):
            self._session = driver.session(database=database, default_access_mode="READ", fetch_size=FETCH)
            self._transaction: Transaction = self._session.begin_transaction(
                metadata={"application": "aegis", "run": run}, timeout=_TIMEOUT
            )

    def close(self) -> None:
        with speaking(self._where):
            self._transaction.close()
            self._session.close()

    def _rows(self, query: str) -> Iterator[Any]:
        with speaking(self._where):
            for count, record in enumerate(self._transaction.run(self._language + query, plain=PLAIN)):
                if not count % FETCH:
                    self._check()
                yield record

    def nodes(self) -> Iterator[bytes]:
        """Lines of `[id, labels, properties]`."""
        seen, parts, size = Marks(), [], 0
        for identity, labels, properties in self._rows(NODES):
            if not seen.add(identity):
                self.doubles += 1
                continue
            labels.sort()
            text = f"{dump(labels)},{dump(to_json(properties))}".encode()
            number = _hash(text)
            self._known[identity] = number
            self._nodes += 1
            self._nodes_sum += number
            self._labels.update(labels)
            parts.append(b"[%d,%b]\n" % (identity, text))
            size += len(parts[-1])
            if size >= _CHUNK:
                yield b"".join(parts)
                parts, size = [], 0
        if parts:
            yield b"".join(parts)

    def relationships(self) -> Iterator[bytes]:
        """Lines of `[id of the first node, id of the second, type, properties]`; after `nodes`."""
        seen, parts, size = Marks(), [], 0
        for identity, first, second, kind, properties in self._rows(RELATIONSHIPS):
            if not seen.add(identity):
                self.doubles += 1
                continue
            begin, end = self._known.get(first), self._known.get(second)
            if not begin or not end:
                self.torn += 1
                continue
            text = f"{dump(kind)},{dump(to_json(properties))}".encode()
            self._relationships += 1
            self._relationships_sum += _hash(text, begin.to_bytes(8, "big"), end.to_bytes(8, "big"))
            self._types[kind] += 1
            parts.append(b"[%d,%d,%b]\n" % (first, second, text))
            size += len(parts[-1])
            if size >= _CHUNK:
                yield b"".join(parts)
                parts, size = [], 0
        if parts:
            yield b"".join(parts)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """A short question within the same transaction."""
        with speaking(self._where):
            return [dict(record) for record in self._transaction.run(query)]

    def counts(self) -> Counts:
        """What went by, after both."""
        return Counts(
            nodes=self._nodes,
            relationships=self._relationships,
            nodes_sum=f"{self._nodes_sum & _MASK:016x}",
            relationships_sum=f"{self._relationships_sum & _MASK:016x}",
            labels=dict(self._labels),
            types=dict(self._types),
        )
