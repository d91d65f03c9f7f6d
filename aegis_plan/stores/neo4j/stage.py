"""The step `stage`: fetches a set, verifies every byte on the way and puts it beside the data of the server.

It touches nothing that serves: what it makes carries a note of the run, and only that is removed again.
"""

from __future__ import annotations

import os
from pathlib import Path

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.catalog.record import SetRecord
from aegis_plan.clock import stamp
from aegis_plan.errors import AegisError, DamageError
from aegis_plan.stores.fetcher import Fetcher, archives
from aegis_plan.stores.neo4j import control, place
from aegis_plan.stores.neo4j.connection import declared_server
from aegis_plan.stores.neo4j.model import Manifest, Server, StageParams
from aegis_plan.stores.programs import account


def where_of(server: Server, beside: str | None) -> place.Layout:
    """The folders of the restore."""
    return place.beside(beside) if beside else place.layout(server)


def staged_set(where: place.Layout) -> Path:
    return where.staging / "set"


class Stage:
    """Fetch and verify."""

    kind = "stage"

    def probe(self, context: Context) -> Probed:
        params = StageParams.model_validate(context.attempt.params)
        where = where_of(declared_server(context, params.store, params.member), params.beside)
        note = place.read_note(where.staging)
        if note and note.get("state") != "staging" and place.ours(where.staging, context):
            return Probed("satisfied", outputs=dict(note["outputs"]))
        return Probed("needed", "nothing whole is staged")

    def act(self, context: Context) -> Done:
        found = self.probe(context)
        if found.answer == "satisfied":
            return Done(found.outputs)
        params = StageParams.model_validate(context.attempt.params)
        server = declared_server(context, params.store, params.member)
        where = where_of(server, params.beside)
        ids = account(server.run_as)
        self._refuse(params, server, where)
        place.remove(where, context)
        try:
            return self._stage(context, params, where, ids)
        except BaseException:
            place.remove(where, context)
            raise

    def undo(self, context: Context) -> Done:
        params = StageParams.model_validate(context.attempt.params)
        place.remove(where_of(declared_server(context, params.store, params.member), params.beside), context)
        return Done()

    def _refuse(self, params: StageParams, server: Server, where: place.Layout) -> None:
        if not where.data.parent.is_dir() or not Path(control.program(server)).exists():
            raise AegisError(
                "neo4j-not-here",
                "the server's data or its programs are not on this host",
                f"{where.data.parent}, {control.program(server)}",
                "correct `home`, `configuration` and `admin` of the member's server; neo4j stands beside neo4j-admin",
            )
        if params.beside and where.data.exists() and any(where.data.iterdir()):
            raise AegisError(
                "place-occupied", "the place beside is not empty", str(where.data), "name a folder that does not exist"
            )

    def _stage(self, context: Context, params: StageParams, where: place.Layout, ids: tuple[int, int] | None) -> Done:
        fetcher = Fetcher(context, params.store, params.lineage)
        record = fetcher.record(params.record, params.digest)
        assert isinstance(record, SetRecord), params.record
        place.make(where, ids, context)
        folder = staged_set(where)
        place.own(folder, ids)
        total = sum(stored.plain_size for stored in record.objects)
        done = 0
        for name, stored in archives(record).items():
            if name == "index":
                continue
            path = folder / name
            with path.open("wb") as stream:
                for chunk in fetcher.objects(stored, record.key, meta=name == "manifest"):
                    stream.write(chunk)
                    done += len(chunk)
                    context.check()
                    context.progress("fetch and verify", done, total)
            if ids:
                os.chown(path, *ids)
        manifest = Manifest.model_validate_json((folder / "manifest").read_bytes())
        if manifest.kind == "export":
            told = (
                [one.counts.nodes for one in manifest.databases],
                [one.counts.relationships for one in manifest.databases],
            )
            if (sum(told[0]), sum(told[1])) != (record.details.get("nodes"), record.details.get("relationships")):
                raise DamageError("set-differs", "a set holds something else than its record says", record.set)
        outputs = {
            "bytes": done,
            "kind": manifest.kind,
            "consistency": record.consistency,
            "covers_until": stamp(record.not_before),
        }
        place.write_note(where.staging, run=context.attempt.run, store=params.store, state="staged", outputs=outputs)
        return Done(outputs)


ACTION = Stage()
