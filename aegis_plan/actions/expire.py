"""The step `expire`: marks records as going, in every repository at once. It deletes nothing.

What would stay by now, because of a hold that came meanwhile or for any other reason, is not marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.catalog.ending import after_all, endings
from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.record import Ending, LogRecord, Record, SetRecord, TombstoneRecord
from aegis_plan.catalog.retention import Retention, retained
from aegis_plan.clock import new_id
from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.repositories import keys
from aegis_plan.repositories.contract import Repository, read
from aegis_plan.sealing.signatures import digest
from aegis_plan.stores.archive import shelf_of, signing, write_record
from aegis_plan.stores.retention import rules_of
from aegis_plan.stores.specs import spec


class Expire:
    """Parameters: store, records, again, at_once, accept_shorter. `again` are marked already and shall go at once."""

    kind = "expire"

    def probe(self, context: Context) -> Probed:
        params = context.attempt.params
        shelf = shelf_of(context, params["store"])
        if shelf.unseen:
            return Probed("needed", f"not every repository can be seen: {shelf.unseen[0]}")
        present, ended = {record.id for record in shelf.records}, endings(shelf.records)
        left = [one for one in params["records"] if one in present and one not in ended]
        late = [one for one in params["again"] if one in ended and ended[one].delete_from > context.clock.now()]
        if left or late:
            return Probed("needed", f"{len(left) + len(late)} records are not marked")
        if _unspread(shelf):
            return Probed("needed", "a repository lacks a mark")
        return Probed("satisfied", outputs={"marked": 0})

    def act(self, context: Context) -> Done:
        params = context.attempt.params
        name = params["store"]
        ready = everywhere(context, name)
        shelf = shelf_of(context, name)
        spread(context, shelf, ready)
        found = verdict(context, shelf, params["accept_shorter"])
        if found.stopped:
            raise stopped(name, found.stopped)
        now = after_all(shelf.records, context.clock.now())
        from_then = now if params["at_once"] else now + _grace(context, name)
        reasons = {one.record: one.why for one in found.going}
        waiting = {one.record: one.reason for one in found.waiting if one.delete_from > from_then}
        known = {record.id: record for record in shelf.records}
        wanted = {one: reasons[one] for one in params["records"] if one in reasons}
        wanted |= {one: waiting[one] for one in params["again"] if one in waiting}
        for one in params["records"]:
            if one in found.kept:
                kept(context, one, found.kept[one])
        groups: dict[tuple[str, str], list[Record]] = {}
        for one in wanted:
            groups.setdefault((known[one].lineage, known[one].aspect), []).append(known[one])
        for (lineage, aspect), records in sorted(groups.items()):
            context.check()
            _mark(context, shelf, lineage, aspect, records, wanted, now, from_then, ready)
        return Done({"marked": len(wanted)})

    def undo(self, context: Context) -> Done:
        raise AegisError(
            "not-reversible",
            "a mark is not taken back by undoing",
            str(context.attempt.params["store"]),
            "'aegis hold' takes it back as long as nothing was deleted",
        )


def everywhere(context: Context, store: str) -> dict[str, Repository]:
    """Every repository of the store. Raises UnavailableError `prune-needs-all` where one cannot be had."""
    backup = context.declared.stores[store].backup
    found: dict[str, Repository] = {}
    for name in backup.repositories if backup is not None else ():
        try:
            found[name] = context.repositories[name]
        except (AegisError, KeyError) as error:
            raise UnavailableError(
                "prune-needs-all",
                "not every repository can be reached, so nothing expires",
                f"{name}: {error if isinstance(error, AegisError) else 'it is not declared for this attempt'}",
                "bring it back, or take it out of the documents if it is gone for good; nothing was deleted",
            ) from None
    return found


def verdict(context: Context, shelf: Shelf, accept_shorter: bool) -> Retention:
    """What stays and goes at this very moment, by the documents of the plan."""
    store = context.declared.stores[context.attempt.params["store"]]
    if store.backup is None:
        return Retention(stopped="no backup is declared")
    engine = spec(store.engine)
    return retained(shelf, rules_of(store.backup, accept_shorter), engine.bonds(shelf), context.clock.now())


def stopped(store: str, why: str) -> AegisError:
    """The finding of a store of which nothing may go now."""
    return UnavailableError(
        "prune-stopped",
        "nothing of a store expires for now",
        f"{store}: {why}",
        "it goes on by itself once that is over; nothing was deleted",
    )


def kept(context: Context, record: str, why: str) -> None:
    """The finding of a record that stays after all."""
    context.find("note", "kept-after-all", "something that was to go stays", f"{record}: {why}")


def spread(context: Context, shelf: Shelf, ready: Mapping[str, Repository]) -> None:
    """Brings every record without objects into every repository; where one was away, it missed some."""
    for record in _unspread(shelf):
        holders = [holding.repository for holding in shelf.holdings if record.id in holding.held]
        key = keys.record(record.system, record.store, record.lineage, record.id)
        data = read(ready[holders[0]], key)
        for name, repository in ready.items():
            if name not in holders:
                context.check()
                repository.put(key, data)


def _unspread(shelf: Shelf) -> list[Record]:
    held = [set(holding.held) for holding in shelf.holdings]
    return [
        record
        for record in shelf.records
        if not isinstance(record, SetRecord | LogRecord)
        and any(record.id in one for one in held)
        and not all(record.id in one for one in held)
    ]


def _grace(context: Context, store: str) -> timedelta:
    backup = context.declared.stores[store].backup
    return backup.retention.grace if backup is not None else timedelta()


def _mark(
    context: Context,
    shelf: Shelf,
    lineage: str,
    aspect: str,
    records: list[Record],
    reasons: Mapping[str, str],
    now: datetime,
    delete_from: datetime,
    ready: dict[str, Repository],
) -> None:
    _sealing, private = signing(context)
    tombstone = TombstoneRecord.model_validate(
        {
            "id": new_id(now),
            "system": context.declared.system.name,
            "store": context.attempt.params["store"],
            "lineage": lineage,
            "aspect": aspect,
            "written": now,
            "site": context.attempt.site,
            "previous": tuple(shelf.heads.get(f"{lineage}/{aspect}", ())),
            "targets": tuple(
                Ending(record=record.id, digest=digest(record), reason=reasons[record.id]) for record in records
            ),
            "delete_from": delete_from,
            "run": context.attempt.run,
        }
    )
    write_record(context, tombstone, private, ready, len(ready))


ACTION = Expire()
