"""Steps that lock what is kept where a repository can lock, for stores of every engine. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from aegis_plan.catalog.living import living
from aegis_plan.catalog.locks import lacking, wanted
from aegis_plan.catalog.retention import in_force
from aegis_plan.documents.model import S3Repository
from aegis_plan.plan.step import Estimate, Step, measured, new_step
from aegis_plan.stores.contract import Ask, StoreSpec
from aegis_plan.stores.retention import retention_of, rules_of, site_of

LATELY = timedelta(hours=1)
"""A range of the log so young is locked with the next backup or an hour later, not by a plan of its own."""
_WRITE = ("backup", "archive-log", "archive-tail")


def locks(ask: Ask, engine: StoreSpec, steps: Sequence[Step] = ()) -> list[Step]:
    """One step for each repository that locks: what it holds and has locked too briefly, and what the other `steps`
    of the plan will add to it."""
    backup = ask.store.backup
    places = backup.repositories if backup is not None else ()
    declared = {name: ask.documents.repositories.get(name) for name in places}
    locking = [name for name, one in declared.items() if isinstance(one, S3Repository) and one.object_lock is not None]
    if backup is None or not locking:
        return []
    shelf, made = ask.look.shelf, []
    alive = living(shelf)
    bonds = engine.bonds(shelf)
    ends = wanted(alive, bonds, in_force(alive.sets, rules_of(backup), ask.now))
    verdict = retention_of(ask, engine)
    kept = [*verdict.kept] if not verdict.stopped else [record.id for record in (*alive.sets, *alive.log)]
    reachable = {holding.repository for holding in shelf.holdings if holding.reachable}
    for name in locking:
        if name not in reachable:
            continue
        short = lacking(alive, shelf.records, ends, kept, name, ask.now, LATELY)
        adding = [one for one in steps if one.action in _WRITE or one.params.get("target") == name]
        if not short and not any(one.action != "archive-log" for one in adding):
            continue
        needs = tuple(one.id for one in adding)
        reason = (
            f"{len(short)} backups are not locked for as long as they are kept" if short else "what is new is locked"
        )
        past = ask.durations("lock", ask.name)
        made.append(
            new_step(
                "lock",
                id=f"{ask.name}.lock-in-{name}",
                title=f"lock the backups of {ask.name} in {name}",
                reason=reason,
                site=site_of(ask),
                tier=ask.tier,
                phase="protect",
                subject=ask.name,
                needs=needs,
                params={"store": ask.name, "repository": name},
                declared=(f"stores/{ask.name}", *(f"repositories/{one}" for one in backup.repositories), "sites/*"),
                estimate=measured(past) if past is not None else Estimate(),
            )
        )
    return made
