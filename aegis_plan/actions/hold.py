"""The step `hold`: writes the signed record that keeps backups, or the one that ends it. It moves no data."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aegis_plan.actions.contract import Context, Done, Probed
from aegis_plan.actions.expire import spread
from aegis_plan.catalog.ending import after_all
from aegis_plan.catalog.holding import Shelf
from aegis_plan.catalog.record import HoldRecord, ReleaseRecord
from aegis_plan.clock import new_id
from aegis_plan.errors import AegisError
from aegis_plan.stores.archive import reachable, shelf_of, signing, write_record


class Hold:
    """Parameters: store, lineage, records, until, reason, by; or, to end holds, release with their ids."""

    kind = "hold"

    def probe(self, context: Context) -> Probed:
        mine = _of_this_run(context, shelf_of(context, context.attempt.params["store"]))
        wanted = len(context.attempt.params["release"]) or 1
        if len(mine) < wanted:
            return Probed("needed")
        return Probed("satisfied", "this run wrote it", {"records": mine})

    def act(self, context: Context) -> Done:
        params = context.attempt.params
        store = context.declared.stores[params["store"]]
        sealing, private = signing(context)
        ready = reachable(context, store)
        shelf = shelf_of(context, params["store"])
        if params["records"]:
            _whole(shelf, params["records"])
        done = set(_of_this_run(context, shelf))
        released = {record.hold for record in shelf.records if isinstance(record, ReleaseRecord)}
        made: list[HoldRecord | ReleaseRecord] = []
        now = after_all(shelf.records, context.clock.now())
        common: dict[str, Any] = {
            "system": context.declared.system.name,
            "store": params["store"],
            "lineage": params["lineage"],
            "aspect": "data",
            "written": now,
            "site": context.attempt.site,
            "reason": params["reason"],
            "by": params["by"],
            "run": context.attempt.run,
            "previous": tuple(shelf.heads.get(f"{params['lineage']}/data", ())),
        }
        if params["release"]:
            made = [
                ReleaseRecord(**common, id=new_id(now), hold=one) for one in params["release"] if one not in released
            ]
        elif not done:
            until = datetime.fromisoformat(params["until"]) if params["until"] else None
            made = [HoldRecord(**common, id=new_id(now), targets=tuple(params["records"]), until=until)]
        for record in made:
            write_record(context, record, private, ready, min(sealing.minimum_copies, len(ready)))
        if not shelf.unseen:
            spread(context, shelf_of(context, params["store"]), ready)
        return Done({"records": sorted(done | {record.id for record in made})})

    def undo(self, context: Context) -> Done:
        raise AegisError(
            "not-reversible",
            "a hold is not taken back by undoing",
            str(context.attempt.params["store"]),
            "'aegis hold --release' ends it",
        )


def _of_this_run(context: Context, shelf: Shelf) -> list[str]:
    return [
        record.id
        for record in shelf.records
        if isinstance(record, HoldRecord | ReleaseRecord) and record.run == context.attempt.run
    ]


def _whole(shelf: Shelf, records: list[str]) -> None:
    """Raises AegisError `set-gone` for a record that no repository holds whole any more."""
    held = {one for holding in shelf.holdings for one in holding.held}
    gone = [one for one in records if one not in held]
    if gone:
        raise AegisError(
            "set-gone",
            "a backup that is to be held is not there any more",
            f"no repository that can be reached holds {', '.join(gone)} whole",
            "'aegis catalog' shows what is left to hold",
        )


ACTION = Hold()
