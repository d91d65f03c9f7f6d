"""Whether enough repositories hold a set for its backup to count, and what is done where they do not: the set stays
where it is, the missing copies are tried once more, and the backup fails aloud. It never removes anything."""

from __future__ import annotations

from collections.abc import Collection

from aegis_plan.actions.contract import Context
from aegis_plan.catalog.record import SetRecord
from aegis_plan.documents.model import LocalRepository, Store
from aegis_plan.errors import AegisError, UnavailableError
from aegis_plan.repositories import copies
from aegis_plan.sealing.signatures import digest
from aegis_plan.stores.archive import missing


def lacking(context: Context, store: Store, holders: Collection[str]) -> str:
    """Why the holders are too few, or nothing. A backup that declares repositories beyond this host has to reach one of
    them: what lies beside the store goes with it."""
    sealing = context.declared.sealing
    wanted = max(1, sealing.minimum_copies if sealing is not None else 1)
    if len(holders) < wanted:
        return f"{len(holders)} of at least {wanted}"
    declared = store.backup.repositories if store.backup is not None else ()
    away = {name for name in declared if _away(context, name)}
    if away and not away.intersection(holders):
        return f"none of those beyond this host, {', '.join(sorted(away))}"
    return ""


def _away(context: Context, name: str) -> bool:
    declared = context.declared.repositories.get(name)
    if isinstance(declared, LocalRepository):
        return declared.site != context.attempt.site
    return declared is not None


def hold(context: Context, store: Store, record: SetRecord, holders: tuple[str, ...]) -> tuple[str, ...]:
    """The holders, if they are enough. Raises UnavailableError `too-few-copies`; the set stays where it is."""
    why = lacking(context, store, holders)
    if not why:
        return holders
    raise UnavailableError(
        "too-few-copies",
        "fewer repositories than required can take the backup",
        f"{why} took {record.set}, which stays in {', '.join(holders)}",
        "repair a repository; 'aegis plan' then copies the set from where it is",
    )


def complete(context: Context, store: Store, record: SetRecord, holders: tuple[str, ...]) -> tuple[str, ...]:
    """Brings a set that has too few copies into the repositories that lack it; raises as `hold`."""
    sealing = context.declared.sealing
    found = holders
    for name in store.backup.repositories if store.backup is not None else ():
        if name in holders:
            continue
        context.check()
        try:
            copies.copy(
                record,
                context.repositories[holders[0]],
                context.repositories[name],
                digest=digest(record),
                signers=sealing.believed if sealing is not None else {},
                stop=context.check,
            )
            found = (*found, name)
        except AegisError as error:
            missing(context, name, str(error))
    return hold(context, store, record, found)
