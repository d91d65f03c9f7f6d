"""A backup by neo4j-admin of a stopped server: exact, and the server is started again in every ending.

The server stands still only while the dump is written beside its data; what goes to repositories is read after that.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from aegis_plan.actions.contract import Context
from aegis_plan.errors import AegisError
from aegis_plan.stores.neo4j import admin, control, place
from aegis_plan.stores.neo4j.connection import SYSTEM, ask, declared_server, opened
from aegis_plan.stores.neo4j.export import lineage_changed
from aegis_plan.stores.neo4j.guard import Guard
from aegis_plan.stores.neo4j.look import lineage_of
from aegis_plan.stores.neo4j.model import BackupParams, Counts, Exported, Manifest
from aegis_plan.stores.programs import account

_CHUNK = 256 << 10
STOPPED, STARTED = "stopped-for-dump", "started-after-dump"


class DumpSource:
    """One dump of all databases of one member."""

    method: Literal["full", "incremental"] = "full"

    def __init__(self, context: Context, params: BackupParams) -> None:
        self._context, self._params = context, params
        self._where = f"{params.store}/{params.member}"
        self._server = declared_server(context, params.store, params.member)
        self._names = (*self._server.databases, SYSTEM)
        self._layout = place.layout(self._server)
        self._folder = self._layout.data / f".aegis-dump-{params.store}"
        self._counts: list[Counts] = []
        shutil.rmtree(self._folder, ignore_errors=True)
        if not self._layout.databases.is_dir() or not admin.there(self._server):
            raise AegisError(
                "neo4j-not-here",
                "the server's data or its programs are not on this host",
                f"{self._layout.databases}, {admin.program(self._server)}",
                "correct `home`, `configuration` and `admin` of the member's server, or let `backup_by` be `export`",
            )
        self._details = self._ask()
        try:
            self._dump()
        except BaseException:
            self.close()
            raise
        self.expected = sum(self._path(name).stat().st_size for name in self._names)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.dump"

    def _ask(self) -> dict[str, Any]:
        """Who it is, before it is stopped. An earlier attempt that was killed may have left it stopped."""
        left = [mark.name for mark in self._context.marks if mark.name in (STOPPED, STARTED)][-1:] == [STOPPED]
        if left and not control.certain(self._server):
            control.start(self._server, self._context)
        with opened(self._context, self._params.store, self._params.member) as driver:
            first = self._names[0]
            versions, edition = ask(driver, first, "CALL dbms.components() YIELD versions, edition", self._where)[0]
            found = lineage_of(driver, first, self._where)
            if found != self._params.lineage:
                raise lineage_changed(self._where, found, self._params.lineage)
        return {"version": str(versions[0]), "edition": str(edition)}

    def _dump(self) -> None:
        context, server = self._context, self._server
        ids = account(server.run_as)
        place.own(self._folder, ids)
        self.begun = context.clock.now()
        context.progress("stop the server", unit="")
        with Guard(server):
            context.mark(STOPPED)
            try:
                control.stop(server, context)
                self.not_before = context.clock.now()
                for name in self._names:
                    context.check()
                    context.progress("dump", unit="")
                    admin.run(context, server, "database", "dump", name, f"--to-path={self._folder}")
                self.not_after = context.clock.now()
            finally:
                if not control.certain(server):
                    control.start(server, context)
                context.mark(STARTED)

    def archives(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """For each database `<number>.dump`, the last of them `system`, then the manifest."""
        for number, name in enumerate(self._names):
            yield f"{number}.dump", self._read(name)
        manifest = Manifest(kind="dump", databases=tuple(Exported(name=name, counts=Counts()) for name in self._names))
        yield "manifest", iter([manifest.model_dump_json().encode()])

    def _read(self, name: str) -> Iterator[bytes]:
        with self._path(name).open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
        self._path(name).unlink()

    def members(self) -> list[list[Any]]:
        return []

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def finish(self) -> dict[str, Any]:
        self.close()
        return {
            "method": "full",
            "begun": self.begun,
            "begin": f"dump-{self.not_before.isoformat()}",
            "end": f"dump-{self.not_before.isoformat()}",
            "not_before": self.not_before,
            "not_after": self.not_after,
            "consistency": "exact",
            "details": {**self._details, "kind": "dump", "databases": len(self._names)},
        }
