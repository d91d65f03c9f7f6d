"""The steps that back a Milvus store up and bring it back. Pure; nothing does them yet."""

from __future__ import annotations

from aegis_plan.stores.contract import Ask, Recipe, Target
from aegis_plan.stores.milvus.model import Server
from aegis_plan.stores.whole import Draft, member_to_read, member_to_restore, point_for, problem


def backup_recipe(ask: Ask, reason: str) -> Recipe:
    """A full of every collection, verified."""
    draft = Draft(ask, member_to_read(ask))
    _back_up(draft, reason, "protect")
    return Recipe(steps=tuple(draft.steps))


def _back_up(draft: Draft, reason: str, phase: str, on_error: str = "stop") -> None:
    ask, name = draft.ask, draft.member
    draft.add(
        "backup",
        "backup",
        f"export {_collections(ask, name)} of {ask.name} from {name}",
        reason,
        phase=phase,
        on_error=on_error,
        params={"method": "full"},
        changes=(f"{ask.name}/newest-set",),
    )
    draft.add(
        "verify",
        "verify",
        f"verify the backup of {ask.name}",
        "row counts of each partition and a sample of vectors are held against the server's",
        phase=phase,
        on_error=on_error,
    )


def _collections(ask: Ask, member: str) -> str:
    names = Server.model_validate(ask.store.members[member].server).collections
    return ", ".join(names) if names else "all collections"


def recover_recipe(ask: Ask, target: Target, member: str | None, beside: str | None) -> Recipe:
    """Collections under new names beside the old ones, compared, and only then what the aliases name."""
    name = member_to_restore(ask, member)
    if name is None:
        lost = problem(
            ask,
            "error",
            "no-place",
            "no server is left to take the restore",
            f"every member of {ask.name} that may take it is at a site that is down",
            "declare a member at another site",
        )
        return Recipe(findings=(lost,))
    point, missing = point_for(ask, target)
    draft = Draft(ask, name)
    back = f"the set of {point.not_after.isoformat()}" if point is not None else "the newest set"
    serves = draft.add("stage", "stage", f"fetch and verify {back} of {ask.name}", f"{ask.name} goes back to {back}")
    if beside is None:
        draft.add(
            "load",
            "load",
            f"load {_collections(ask, name)} of {ask.name} on {name} under new names, build indexes",
            "the old collections stay as they are until the new ones are compared",
        )
        draft.add(
            "compare",
            "compare",
            f"compare {ask.name} with what was backed up",
            "row counts have to be equal, and a stored vector has to find itself",
        )
        serves = draft.add(
            "swap",
            "swap",
            f"let the aliases of {ask.name} name the restored collections",
            "the old collections are kept and the aliases can be put back",
            changes=(f"{ask.name}/lineage",),
        )
        if ask.store.backup is not None:
            _back_up(draft, "the store is unprotected until a set of the restored data exists", "verify", "continue")
    return Recipe(
        steps=tuple(draft.steps), findings=(missing,) if missing is not None else (), point=point, serves=serves
    )
