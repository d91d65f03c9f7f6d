"""Writes the lines of an export into an empty database, in batches of bounded size, without any key of its own in it:
which new node an old id means is kept in memory, 8 bytes each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError, DamageError
from aegis_plan.stores.neo4j.connection import language, speaking
from aegis_plan.stores.neo4j.ids import Numbers
from aegis_plan.stores.neo4j.values import quoted, split, together

if TYPE_CHECKING:
    from neo4j import Driver, Session

ROWS = 5000
BYTES = 2 << 20

Shape = tuple[Any, ...]


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a stream."""
    rest = b""
    for chunk in chunks:
        found = (rest + chunk).split(b"\n")
        rest = found.pop()
        yield from found
    if rest:
        raise DamageError("neo4j-export-cut", "an export ends in the middle of a line", "", "restore another set")


class Importer:
    """One import into one database."""

    def __init__(self, context: Context, driver: Driver, database: str, where: str, total: int) -> None:
        self._context, self._where, self._total = context, where, total
        self._driver, self._database = driver, database
        self._language = language(driver, database, where)
        self._new = Numbers()
        """Old id to new id + 1."""
        self._done = 0
        self._waiting: dict[Shape, list[Any]] = {}
        self._rows = self._bytes = 0

    def nodes(self, chunks: Iterable[bytes]) -> None:
        with speaking(self._where), self._driver.session(database=self._database) as session:
            for line in lines(chunks):
                identity, labels, properties = json.loads(line)
                plain, shape, pieces = split(properties)
                self._add(session, (tuple(labels), shape), [identity, plain, pieces], len(line))
            self._flush(session)

    def relationships(self, chunks: Iterable[bytes]) -> None:
        with speaking(self._where), self._driver.session(database=self._database) as session:
            for line in lines(chunks):
                first, second, kind, properties = json.loads(line)
                plain, shape, pieces = split(properties)
                row = [self._new.get(first) - 1, self._new.get(second) - 1, plain, pieces]
                self._add(session, (kind, shape), row, len(line))
            self._flush(session)

    def _add(self, session: Session, shape: Shape, row: list[Any], size: int) -> None:
        self._waiting.setdefault(shape, []).append(row)
        self._rows += 1
        self._bytes += size
        if self._rows >= ROWS or self._bytes >= BYTES:
            self._flush(session)

    def _flush(self, session: Session) -> None:
        self._context.check()
        with session.begin_transaction(metadata={"application": "aegis", "run": self._context.attempt.run}) as work:
            for (what, shape), rows in self._waiting.items():
                result = work.run(self._language + _statement(what, shape), rows=rows)
                made = 0
                if isinstance(what, str):
                    made = result.consume().counters.relationships_created
                else:
                    for old, new in result:
                        self._new[old] = new + 1
                        made += 1
                if made != len(rows):
                    raise AegisError(
                        "neo4j-import-differs",
                        "the server made something else than it was told",
                        f"{self._where}: {made} of {len(rows)}",
                        "see the server's log, then try again",
                    )
            work.commit()
        self._done += self._rows
        self._waiting, self._rows, self._bytes = {}, 0, 0
        self._context.progress("load", self._done, self._total, unit="")


def _statement(what: tuple[str, ...] | str, shape: tuple[tuple[str, str], ...]) -> str:
    if isinstance(what, str):
        begin = f"MATCH (a) WHERE id(a) = r[0] MATCH (b) WHERE id(b) = r[1] CREATE (a)-[x:{quoted(what)}]->(b)"
        plain, pieces, end = "r[2]", "r[3]", ""
    else:
        begin = f"CREATE (x{''.join(f':{quoted(label)}' for label in what)})"
        plain, pieces, end = "r[1]", "r[2]", " RETURN r[0], id(x)"
    sets = [f"x.{quoted(name)} = {together(kind, f'{pieces}[{at}]')}" for at, (name, kind) in enumerate(shape)]
    return f"UNWIND $rows AS r {begin} SET {', '.join([f'x = {plain}', *sets])}{end}"
