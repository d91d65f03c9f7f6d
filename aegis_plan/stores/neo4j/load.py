"""The step `load`: makes databases of a staged set on a private server, and proves them there.

Nothing that serves is touched: what does not come back as it was backed up never gets into its place.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.errors import AegisError, DamageError
from aegis_plan.stores.neo4j import admin, place, schema
from aegis_plan.stores.neo4j.connection import SYSTEM, ask, declared_server
from aegis_plan.stores.neo4j.importing import Importer
from aegis_plan.stores.neo4j.look import lineage_of
from aegis_plan.stores.neo4j.model import Counts, Exported, LoadParams, Manifest, Server
from aegis_plan.stores.neo4j.private_server import WHERE, configure, private_server
from aegis_plan.stores.neo4j.reading import Reading
from aegis_plan.stores.neo4j.stage import staged_set, where_of
from aegis_plan.stores.neo4j.values import quoted
from aegis_plan.stores.programs import account

if TYPE_CHECKING:
    from neo4j import Driver

_CHUNK = 256 << 10


class Load:
    """Load and prove."""

    kind = "load"

    def probe(self, context: Context) -> Probed:
        params = LoadParams.model_validate(context.attempt.params)
        where = where_of(declared_server(context, params.store, params.member), params.beside)
        for folder in (where.staging, where.data):
            note = place.read_note(folder)
            if note and note.get("state") == "loaded" and place.ours(folder, context):
                return Probed("satisfied", outputs=dict(note["outputs"]))
        return Probed("needed", "nothing is loaded")

    def act(self, context: Context) -> Done:
        found = self.probe(context)
        if found.answer == "satisfied":
            return Done(found.outputs)
        params = LoadParams.model_validate(context.attempt.params)
        server = declared_server(context, params.store, params.member)
        where, ids = where_of(server, params.beside), account(server.run_as)
        if not place.ours(where.staging, context):
            raise AegisError(
                "nothing-staged",
                "there is no staged data of this run to load",
                str(where.staging),
                "the steps before have to be done first",
            )
        manifest = Manifest.model_validate_json((staged_set(where) / "manifest").read_bytes())
        # What a killed attempt loaded is of no use: it is not known how far it came.
        for folder in (where.staged, where.staged_transactions):
            shutil.rmtree(folder, ignore_errors=True)
            place.own(folder, ids)
        staged = dict((place.read_note(where.staging) or {}).get("outputs", {}))
        # Users are in the database `system`, which an export does not hold. Where the old one is gone too, nobody could
        # log in to what was restored.
        alone = manifest.kind == "export" and not params.beside and not (where.databases / SYSTEM).is_dir()
        loaded = self._load(context, server, where, ids, manifest, alone)
        outputs = {**loaded, "covers_until": staged.get("covers_until")}
        place.write_note(where.staging, run=context.attempt.run, store=params.store, state="loaded", outputs=outputs)
        shutil.rmtree(staged_set(where))
        if params.beside:
            self._beside(where, context, params, outputs)
        return Done(outputs)

    def undo(self, context: Context) -> Done:
        params = LoadParams.model_validate(context.attempt.params)
        server = declared_server(context, params.store, params.member)
        where = where_of(server, params.beside)
        place.remove(where, context)
        return Done()

    def _load(
        self,
        context: Context,
        server: Server,
        where: place.Layout,
        ids: tuple[int, int] | None,
        manifest: Manifest,
        alone: bool,
    ) -> dict[str, Any]:
        databases = [one for one in manifest.databases if one.name != SYSTEM]
        if manifest.kind != "export":
            folder = configure(server, where, ids, databases[0].name)
            for number, one in enumerate(manifest.databases):
                if one.name != SYSTEM:
                    self._dumped(context, server, where, number, one.name, folder)
        lineage, nodes, relationships, left = "", 0, 0, []
        with private_server(context, server, where, ids, databases[0].name) as driver:
            for number, one in enumerate(databases):
                if number:
                    # The first is there from the start; only the Enterprise edition has more.
                    ask(driver, SYSTEM, f"CREATE DATABASE {quoted(one.name)} IF NOT EXISTS WAIT", WHERE)
                if manifest.kind == "export":
                    left += bring_in(context, driver, WHERE, staged_set(where), number, one)
                read = read_all(context, driver, WHERE, one.name)
                if manifest.kind == "export":
                    compare(driver, WHERE, one, read, left)
                nodes += read.nodes
                relationships += read.relationships
            lineage = lineage_of(driver, databases[0].name, WHERE)
            if alone:
                make_login(context, driver, server)
        if manifest.kind != "export":
            # Last: with it come the passwords of then, which the private server does not know.
            for number, one in enumerate(manifest.databases):
                if one.name == SYSTEM:
                    self._dumped(context, server, where, number, SYSTEM, folder)
        if left:
            context.find(
                "warning",
                "neo4j-edition-lacks",
                "constraints that this edition does not have are not restored",
                f"{len(left)}: {', '.join(sorted(set(left)))}",
                "restore onto an Enterprise server to have them",
            )
        names = [one.name for one in (databases if manifest.kind == "export" else manifest.databases)]
        names += [SYSTEM] if alone else []
        return {
            "lineage": lineage,
            "kind": manifest.kind,
            "databases": names,
            "nodes": nodes,
            "relationships": relationships,
            "constraints_left_out": len(left),
        }

    def _dumped(
        self, context: Context, server: Server, where: place.Layout, number: int, name: str, folder: Path
    ) -> None:
        context.progress("load the dump", unit="")
        source = staged_set(where) / "dumps"
        source.mkdir(exist_ok=True)
        staged = staged_set(where) / f"{number}.dump"
        if staged.exists():
            os.replace(staged, source / f"{name}.dump")
        admin.run(
            context, server, "database", "load", name, f"--from-path={source}", "--overwrite-destination=true",
            configuration=folder,
        )  # fmt: skip

    def _beside(self, where: place.Layout, context: Context, params: LoadParams, outputs: dict[str, Any]) -> None:
        """Leaves a data folder that a server can be pointed to, without the login of ours."""
        for name in ("databases/system", "transactions/system", "dbms") if outputs["kind"] == "export" else ():
            shutil.rmtree(where.staged / name, ignore_errors=True)
        place.write_note(where.staged, run=context.attempt.run, store=params.store, state="loaded", outputs=outputs)
        if where.data.exists():
            where.data.rmdir()
        os.rename(where.staged, where.data)
        place.sync_folder(where.data.parent)
        place.remove(where, context)


def make_login(context: Context, driver: Driver, server: Server) -> None:
    """Makes the declared login on a server that has no users of its own, and says that the others are not back."""
    password = context.secrets.text(server.password)
    if password:
        if server.user == "neo4j":
            text = "ALTER USER neo4j SET PASSWORD $password CHANGE NOT REQUIRED"
        else:
            text = f"CREATE USER {quoted(server.user)} SET PASSWORD $password CHANGE NOT REQUIRED"
        ask(driver, SYSTEM, text, WHERE, password=password)
    context.find(
        "warning",
        "neo4j-users-new",
        "users are not restored: an export does not hold them, and those of the server are gone",
        f"the server has the login '{server.user}' with the declared password, and no other of before",
        "make the other users again; backup_by: dump takes users along",
    )


def bring_in(context: Context, driver: Driver, where: str, folder: Path, number: int, one: Exported) -> list[str]:
    """Loads one database of an export into an empty one. Gives the types of constraints that this edition lacks."""
    importer = Importer(context, driver, one.name, where, one.counts.nodes + one.counts.relationships)
    importer.nodes(_read(folder / f"{number}.nodes"))
    importer.relationships(_read(folder / f"{number}.relationships"))
    return schema.rebuild(context, driver, one.name, where, one.constraints, one.indexes)


def read_all(context: Context, driver: Driver, where: str, name: str) -> Counts:
    """What a database holds now."""
    context.progress("compare", unit="")
    reading = Reading(driver, name, where, context.attempt.run, context.check)
    try:
        for chunks in (reading.nodes(), reading.relationships()):
            for _ in chunks:
                pass
        return reading.counts()
    finally:
        reading.close()


def compare(driver: Driver, where: str, one: Exported, read: Counts, left: list[str]) -> None:
    """Raises DamageError `restored-data-differs`."""
    problems = [name for name in Counts.model_fields if getattr(one.counts, name) != getattr(read, name)]
    constraints = {str(row[2]) for row in ask(driver, one.name, schema.CONSTRAINTS, where)}
    wanted = {str(row["createStatement"]) for row in one.constraints}
    if len(wanted - constraints) != len(left) or constraints - wanted:
        problems.append("constraints")
    indexes = {str(row[3]) for row in ask(driver, one.name, schema.INDEXES, where) if row[2] is None}
    if indexes != {str(row["createStatement"]) for row in one.indexes}:
        problems.append("indexes")
    if problems:
        raise DamageError(
            "restored-data-differs",
            "what was restored is not what was backed up",
            f"they differ in: {', '.join(problems)}",
            "nothing was touched; restore another set, and keep this one to find out why",
        )


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


ACTION = Load()
