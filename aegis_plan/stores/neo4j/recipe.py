"""The steps that back a Neo4j store up and bring it back. Pure; nothing does them yet."""

from __future__ import annotations

from aegis_plan.stores.contract import Ask, Recipe, Target
from aegis_plan.stores.neo4j.model import Server
from aegis_plan.stores.whole import Draft, member_to_read, member_to_restore, point_for, problem


def backup_recipe(ask: Ask, reason: str) -> Recipe:
    """A full, verified."""
    draft = Draft(ask, member_to_read(ask))
    _back_up(draft, reason, "protect")
    return Recipe(steps=tuple(draft.steps))


def _back_up(draft: Draft, reason: str, phase: str, on_error: str = "stop") -> None:
    ask, name = draft.ask, draft.member
    fields = ask.store.members[name].server
    server = Server.model_validate(fields) if fields else None
    rest = {"phase": phase, "on_error": on_error}
    stopped = server is not None and server.backup_by == "dump"
    if stopped:
        draft.add(
            "stop-server",
            "stop-for-dump",
            f"stop the server of {ask.name} on {name}",
            "a dump is taken of a stopped server",
            **rest,
        )
    databases = ", ".join((*(server.databases if server is not None else ("neo4j",)), "system"))
    draft.add(
        "backup",
        "backup",
        f"{'dump' if stopped else 'export'} {ask.name} from {name}: {databases}",
        reason,
        params={"method": "full"},
        changes=(f"{ask.name}/newest-set",),
        **rest,
    )
    if stopped:
        draft.add(
            "start-server", "start-after-dump", f"start the server of {ask.name} on {name}", "the dump is taken", **rest
        )
    draft.add(
        "verify",
        "verify",
        f"verify the backup of {ask.name}",
        "counts, constraints and checksums are held against the server's",
        **rest,
    )


def recover_recipe(ask: Ask, target: Target, member: str | None, beside: str | None) -> Recipe:
    """A load of the newest set that fits, with the old databases kept until it was compared."""
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
    serves = draft.add(
        "stage", "stage", f"fetch, verify and unpack {back} of {ask.name}", f"{ask.name} goes back to {back}"
    )
    if beside is None:
        draft.add(
            "stop-server",
            "stop",
            f"stop the server of {ask.name} on {name}",
            "databases are loaded into a stopped server",
        )
        draft.add(
            "load",
            "load",
            f"load the databases of {ask.name} on {name}",
            "the old databases are kept beside them and can be put back",
            symbol="-/+",
            destructive=True,
        )
        draft.add(
            "start-server", "start", f"start the server of {ask.name} on {name}", "the restored data is served again"
        )
        serves = draft.add(
            "compare",
            "compare",
            f"compare {ask.name} with what was backed up",
            "counts by label and type, constraints, indexes and a sample have to be equal",
        )
        if ask.store.backup is not None:
            _back_up(draft, "the store is unprotected until a set of the restored data exists", "verify", "continue")
    return Recipe(
        steps=tuple(draft.steps), findings=(missing,) if missing is not None else (), point=point, serves=serves
    )
