"""The step `backup`, for every kind of store: archives flow from the driver through the seal into all repositories.

The record is written last, and only where every object was proved; until then there is no set.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.catalog.record import SetRecord
from aegis_plan.catalog.retention import promise
from aegis_plan.clock import new_id
from aegis_plan.documents.model import Sealing, Store
from aegis_plan.errors import AegisError
from aegis_plan.repositories import keys
from aegis_plan.repositories.contract import Repository
from aegis_plan.repositories.setwriter import SetWriter, Written
from aegis_plan.sealing.keys import DataKey, new_data_key
from aegis_plan.sealing.signatures import digest
from aegis_plan.stores import quorum
from aegis_plan.stores.archive import missing, proved, put_key, reachable, shelf_of, signing, write_record
from aegis_plan.stores.contract import Source, StartAgain
from aegis_plan.stores.drivers import driver
from aegis_plan.stores.retention import rules_of

TOOL = "aegis-plan"
_WHOLE = ("manifest", "config")
"""Objects that are too small for volumes."""


class Backup:
    """Back up one store."""

    kind = "backup"

    def probe(self, context: Context) -> Probed:
        found = self._of_this_run(context)
        if found is None:
            return Probed("needed")
        record, copies = found
        if why := quorum.lacking(context, context.declared.stores[record.store], copies):
            return Probed("needed", f"{why} hold the set of this run")
        return Probed("satisfied", "the set of this run is there", _outputs(record, copies))

    def _of_this_run(self, context: Context) -> tuple[SetRecord, tuple[str, ...]] | None:
        """The set that an earlier attempt made, and who holds it."""
        store, lineage = context.attempt.params["store"], context.attempt.params["lineage"]
        shelf = shelf_of(context, store)
        held = {identity: holding.repository for holding in shelf.holdings for identity in holding.held}
        for record in shelf.records:
            if (
                isinstance(record, SetRecord)
                and (record.run, record.lineage) == (context.attempt.run, lineage)
                and record.id in held
            ):
                return record, tuple(holding.repository for holding in shelf.holdings if record.id in holding.held)
        return None

    def act(self, context: Context) -> Done:
        found = self._of_this_run(context)
        if found is not None:
            record = found[0]
            return Done(_outputs(record, quorum.complete(context, context.declared.stores[record.store], *found)))
        name, lineage = context.attempt.params["store"], context.attempt.params["lineage"]
        store, (sealing, private) = context.declared.stores[name], signing(context)
        self._sweep(context, name, lineage)
        ready = reachable(context, store)
        source = driver(store.engine).source(context, context.attempt.params)
        try:
            for count in itertools.count(1):
                identity = f"{context.attempt.run}-{source.method[0].upper()}{context.attempt.number}"
                identity += f"-{count}" if count > 1 else ""
                context.mark("set-begun", set=identity, lineage=lineage)
                key = new_data_key(identity)
                began = context.clock.now()
                try:
                    took = put_key(context, name, lineage, key, ready)
                    written = self._write(context, name, lineage, store, sealing, source, key, took)
                    break
                except StartAgain:
                    self._sweep(context, name, lineage)
            ready = took
            said = source.finish()
        finally:
            source.close()
        copies = proved(context, written, ready, 1, key)
        now = context.clock.now()
        record = SetRecord(
            id=new_id(now),
            system=context.declared.system.name,
            store=name,
            lineage=lineage,
            written=now,
            site=context.attempt.site,
            previous=tuple(shelf_of(context, name).heads.get(f"{lineage}/data", ())),
            set=identity,
            engine=store.engine,
            method=said["method"],
            parent=said.get("parent"),
            begun=said.get("begun", began),
            ended=said["not_after"],
            begin=said["begin"],
            end=said["end"],
            not_before=said["not_before"],
            not_after=said["not_after"],
            consistency=said.get("consistency", "exact"),
            key=key.name,
            objects=written.objects,
            details={**said["details"], "plain_bytes": written.plain_bytes, **_promised(store)},
            run=context.attempt.run,
            tool=TOOL,
        )
        held = write_record(context, record, private, copies, 1)
        return Done(_outputs(record, quorum.hold(context, store, record, held)))

    def undo(self, context: Context) -> Done:
        raise AegisError(
            "not-reversible", "a backup is not taken back", "sets end by retention", "nothing has to be done"
        )

    def _write(
        self,
        context: Context,
        name: str,
        lineage: str,
        store: Store,
        sealing: Sealing,
        source: Source,
        key: DataKey,
        ready: dict[str, Repository],
    ) -> Written:
        backup = store.backup
        with SetWriter(
            ready,
            system=context.declared.system.name,
            store=name,
            lineage=lineage,
            root=f"sets/{key.name}",
            key=key,
            level=backup.compression if backup else 3,
            stop=context.check,
            progress=lambda done: context.progress("copy", done, source.expected or None),
            bandwidth=backup.bandwidth if backup else None,
            # One that is left takes the whole set: it is kept, and what is missing is copied from it.
            suffice=lambda names: not quorum.lacking(context, store, names),
        ) as writer:
            for archive, chunks in source.archives():
                meta = keys.for_hosts(archive)
                writer.add(
                    archive, chunks, meta=meta, volumes=archive not in _WHOLE, members=None if meta else source.members
                )
            written = writer.finish()
        for repository, why in sorted(written.dropped.items()):
            missing(context, repository, why)
        return written

    def _sweep(self, context: Context, store: str, lineage: str) -> None:
        """Removes what earlier attempts of this very step left, unless a record names it."""
        begun = [mark.data for mark in context.marks if mark.name == "set-begun" and mark.data["lineage"] == lineage]
        if not begun:
            return
        shelf = shelf_of(context, store)
        if any(not holding.reachable for holding in shelf.holdings):
            return  # a repository that does not answer may hold the record
        named = {record.set for record in shelf.records if isinstance(record, SetRecord)}
        system = context.declared.system.name
        for identity in sorted({data["set"] for data in begun} - named):
            for prefix in (
                keys.set_object(system, store, lineage, identity, ""),
                keys.data_key(system, store, lineage, identity, 0),
            ):
                for repository in reachable(context, context.declared.stores[store]).values():
                    with contextlib.suppress(AegisError):
                        for listed in list(repository.listing(prefix)):
                            repository.delete(listed.key)
                        repository.sweep(prefix, 0.0)


def _promised(store: Store) -> dict[str, Any]:
    """How long it is to be kept: whoever shortens that later finds it here."""
    return {"retain": promise(rules_of(store.backup).periods)} if store.backup is not None else {}


def _outputs(record: SetRecord, copies: tuple[str, ...]) -> dict[str, Any]:
    return {
        "record": record.id,
        "digest": digest(record),
        "set": record.set,
        "method": record.method,
        "bytes": int(record.details.get("plain_bytes") or sum(stored.plain_size for stored in record.objects)),
        "sealed_bytes": sum(stored.sealed_size for stored in record.objects),
        "copies": list(copies),
    }


ACTION = Backup()
