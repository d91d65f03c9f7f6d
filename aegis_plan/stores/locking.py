"""Steps that lock what is kept where a repository can lock, for stores of every engine. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_plan.catalog.living import living
from aegis_plan.catalog.locks import lacking, wanted
from aegis_plan.catalog.retention import in_force
from aegis_plan.documents.model import S3Repository
from aegis_plan.plan.step import Estimate, Step, measured, new_step
from aegis_plan.stores.contract import Ask, StoreSpec
from aegis_plan.stores.retention import retention_of, rules_of, site_of


def locks(ask: Ask, engine: StoreSpec, after: Sequence[str] = (), copied: Sequence[Step] = ()) -> list[Step]:
    """One step for each repository that locks: what it holds and has locked too briefly, and what the steps `after`
    which it comes will add to it."""
    backup = ask.store.backup
    if backup is None:
        return []
    shelf, made = ask.look.shelf, []
    alive = living(shelf)
    bonds = engine.bonds(shelf)
    ends = wanted(alive, bonds, in_force(alive.sets, rules_of(backup), ask.now))
    verdict = retention_of(ask, engine)
    kept = [*verdict.kept] if not verdict.stopped else [record.id for record in (*alive.sets, *alive.log)]
    reachable = {holding.repository for holding in shelf.holdings if holding.reachable}
    for name in backup.repositories:
        declared = ask.documents.repositories.get(name)
        if not isinstance(declared, S3Repository) or declared.object_lock is None or name not in reachable:
            continue
        short = lacking(alive, shelf.records, ends, kept, name, ask.now)
        needs = (*after, *(step.id for step in copied if step.params.get("target") == name))
        if not short and not needs:
            continue
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
