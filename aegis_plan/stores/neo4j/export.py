"""A backup taken through Bolt while the server serves. It says `exact` only where nobody committed in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.stores.contract import StartAgain
from aegis_plan.stores.neo4j import marker, schema
from aegis_plan.stores.neo4j.connection import ask, names, opened, server_of
from aegis_plan.stores.neo4j.look import lineage_of
from aegis_plan.stores.neo4j.model import BackupParams, Exported, Manifest, Server
from aegis_plan.stores.neo4j.reading import Reading

if TYPE_CHECKING:
    from neo4j import Driver

_LOOK = 1.0
"""Seconds between two looks whether somebody committed, while another export may follow."""


class ExportSource:
    """One export of one member. Made by the driver; `close` ends its connections."""

    method: Literal["full", "incremental"] = "full"
    expected = 0

    def __init__(self, context: Context, params: BackupParams) -> None:
        self._context = context
        self._where = f"{params.store}/{params.member}"
        server = server_of(context, params.store, params.member)
        self._server = server if server is not None else Server(home="/")
        self._names = names(server)
        self._stack = ExitStack()
        self._reading: Reading | None = None
        self._tries = 0
        self._differ = ""
        self._doubles = self._torn = 0
        self._exported: list[Exported] = []
        self._marks: dict[str, str] = {}
        self._ends: dict[str, str] = {}
        try:
            self._driver: Driver = self._stack.enter_context(opened(context, params.store, params.member))
            version, edition = ask(
                self._driver, self._names[0], "CALL dbms.components() YIELD versions, edition", self._where
            )[0]
            self._details: dict[str, Any] = {"version": str(version[0]), "edition": edition}
            too_old(str(version[0]), self._where)
            found = lineage_of(self._driver, self._names[0], self._where)
            if found != params.lineage:
                raise lineage_changed(self._where, found, params.lineage)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._reading is not None:
            reading, self._reading = self._reading, None
            try:
                reading.close()
            except AegisError:
                pass  # the connection is gone, and the transaction with it
        self._stack.close()

    @property
    def _last(self) -> bool:
        return self._tries >= self._server.exports

    def archives(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """For each database `<number>.nodes` and `<number>.relationships`, then the manifest.

        Raises StartAgain where somebody committed and another export may follow."""
        self._tries += 1
        if self._tries > 1:
            for name in self._names:
                marker.wait_quiet(self._context, self._driver, name, self._where, self._server.quiet.total_seconds())
        self.begun = self._context.clock.now()
        self._exported, self._differ, self._doubles, self._torn = [], "", 0, 0
        # All first, so that one moment is within every export.
        self._marks = {name: marker.marker(self._driver, name, self._where) for name in self._names}
        self.not_before = self._context.clock.now()
        for number, name in enumerate(self._names):
            reading = Reading(self._driver, name, self._where, self._context.attempt.run, self._context.check)
            self._reading = reading
            yield f"{number}.nodes", self._watched(reading.nodes())
            yield f"{number}.relationships", self._watched(reading.relationships())
            constraints = reading.ask(schema.CONSTRAINTS)
            indexes = schema.own_indexes(reading.ask(schema.INDEXES))
            self._exported.append(
                Exported(name=name, counts=reading.counts(), constraints=tuple(constraints), indexes=tuple(indexes))
            )
            self._doubles += reading.doubles
            self._torn += reading.torn
            reading.close()
            self._reading = None
        self._prove()
        manifest = Manifest(kind="export", exact=not self._differ, databases=tuple(self._exported))
        yield "manifest", iter([manifest.model_dump_json().encode()])

    def _watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        clock, looked = self._context.clock, self._context.clock.monotonic()
        for chunk in chunks:
            if not self._last and clock.monotonic() - looked > _LOOK:
                looked = clock.monotonic()
                self._unchanged()
            yield chunk

    def _unchanged(self) -> None:
        for name, before in self._marks.items():
            if marker.marker(self._driver, name, self._where) != before:
                self._again()

    def _again(self) -> None:
        self.drop()
        raise StartAgain("somebody wrote while it was read")

    def drop(self) -> None:
        """Ends the reading that was begun."""
        if self._reading is not None:
            reading, self._reading = self._reading, None
            reading.close()

    def _prove(self) -> None:
        """Every database has to be now as it was before the first was read."""
        self._ends = {name: marker.settled(self._context, self._driver, name, self._where) for name in self._names}
        if self._ends != self._marks:
            if not self._last:
                self._again()
            self._differ = (
                "a transaction was being committed all the time"
                if not all(self._ends.values())
                else "others committed while it was read"
            )
        elif self._doubles or self._torn:
            # It cannot be, and if it is, the proof is worth nothing.
            self._differ = "what was read does not fit together"

    def members(self) -> list[list[Any]]:
        return []

    def finish(self) -> dict[str, Any]:
        """What the record says: counts and versions, no names of data."""
        self.close()
        now: datetime = self._context.clock.now()
        if self._differ:
            self._context.find(
                "warning",
                "neo4j-fuzzy",
                "the export is of no single moment",
                f"{self._where}: {self._differ}; it was begun {self._tries} times, "
                f"{self._torn} relationships without an end and {self._doubles} doubles are left out",
                "write less while it runs, raise `exports` and `quiet`, or take a dump",
            )
        first = self._names[0]
        return {
            "method": "full",
            "begun": self.begun,
            "begin": self._marks[first],
            "end": self._ends[first] or self._marks[first],
            "not_before": self.not_before,
            "not_after": now,
            "consistency": "fuzzy" if self._differ else "exact",
            "details": {
                **self._details,
                "kind": "export",
                "databases": len(self._exported),
                "nodes": sum(one.counts.nodes for one in self._exported),
                "relationships": sum(one.counts.relationships for one in self._exported),
                "constraints": sum(len(one.constraints) for one in self._exported),
                "indexes": sum(len(one.indexes) for one in self._exported),
                "exports": self._tries,
                "left_out": {"relationships_without_end": self._torn, "doubles": self._doubles},
            },
        }


def lineage_changed(where: str, found: str, planned: str) -> AegisError:
    return AegisError(
        "lineage-changed",
        "the server has another history than was planned for",
        f"{where}: it is {found}, the plan was made for {planned}",
        "make a new plan; if the server was replaced by mistake, look before backing it up",
    )


def too_old(version: str, where: str) -> None:
    """Raises AegisError `neo4j-too-old`: older servers do not tell the type of a value."""
    parts = [int(part) for part in version.split("-")[0].split(".")[:2] if part.isdigit()]
    if parts < [5, 13]:
        raise AegisError(
            "neo4j-too-old",
            "the server is too old for an export",
            f"{where}: version {version}; 5.13 is the first that tells the type of a value",
            "take a dump, by `backup_by: dump` of the member's server",
        )
