"""The step `lock`: holds the objects of what is kept in a repository that can lock them, the chain of each set
included, and writes down until when. It shortens no lock and removes nothing."""

from __future__ import annotations

from datetime import datetime

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.living import living
from aegis_plan.catalog.locks import lacking, wanted
from aegis_plan.catalog.record import LockRecord, LogRecord, SetRecord
from aegis_plan.catalog.retention import in_force, retained
from aegis_plan.clock import new_id
from aegis_plan.errors import AegisError
from aegis_plan.repositories import keys
from aegis_plan.repositories.copies import wrapped_keys
from aegis_plan.stores.archive import reachable, shelf_of, signing, write_record
from aegis_plan.stores.retention import rules_of
from aegis_plan.stores.specs import spec


class Lock:
    """Parameters: store, repository."""

    kind = "lock"

    def probe(self, context: Context) -> Probed:
        short = _short(context, shelf_of(context, context.attempt.params["store"]))
        if short:
            return Probed("needed", f"{len(short)} backups are locked too briefly")
        return Probed("satisfied", outputs={"locked": 0})

    def act(self, context: Context) -> Done:
        name, where = context.attempt.params["store"], context.attempt.params["repository"]
        sealing, private = signing(context)
        shelf = shelf_of(context, name)
        short = _short(context, shelf)
        repository = context.repositories[where]
        known = {record.id: record for record in shelf.records if isinstance(record, SetRecord | LogRecord)}
        said: dict[tuple[str, datetime], list[str]] = {}
        for count, (identity, until) in enumerate(short.items()):
            context.check()
            context.progress("lock", count, len(short), "backups")
            record = known[identity]
            for key in (
                *(stored.key for stored in record.objects),
                *wrapped_keys(record, repository),
                keys.record(record.system, record.store, record.lineage, record.id),
            ):
                repository.keep(key, until)
            said.setdefault((record.lineage, until), []).append(identity)
        ready = reachable(context, context.declared.stores[name])
        for (lineage, until), targets in said.items():
            now = context.clock.now()
            made = LockRecord(
                id=new_id(now),
                system=context.declared.system.name,
                store=name,
                lineage=lineage,
                aspect="data",
                written=now,
                site=context.attempt.site,
                previous=tuple(shelf_of(context, name).heads.get(f"{lineage}/data", ())),
                repository=where,
                targets=tuple(targets),
                until=until,
                run=context.attempt.run,
            )
            write_record(context, made, private, ready, min(sealing.minimum_copies, len(ready)))
        return Done({"locked": len(short)})

    def undo(self, context: Context) -> Done:
        raise AegisError(
            "not-reversible",
            "a lock is not taken back",
            str(context.attempt.params["store"]),
            "it ends by itself; nothing has to be done",
        )


def _short(context: Context, shelf: Shelf) -> dict[str, datetime]:
    name, where = context.attempt.params["store"], context.attempt.params["repository"]
    store, now = context.declared.stores[name], context.clock.now()
    if store.backup is None:
        return {}
    alive, rules = living(shelf), rules_of(store.backup)
    bonds = spec(store.engine).bonds(shelf)
    verdict = retained(shelf, rules, bonds, now)
    kept = [*verdict.kept] if not verdict.stopped else [record.id for record in (*alive.sets, *alive.log)]
    ends = wanted(alive, bonds, in_force(alive.sets, rules, now))
    return lacking(alive, shelf.records, ends, kept, where, now)


ACTION = Lock()
