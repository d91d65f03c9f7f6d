"""The steps that back a Neo4j store up and bring it back. Pure."""

from __future__ import annotations

from aegis_plan.catalog.record import SetRecord
from aegis_plan.sealing.signatures import digest
from aegis_plan.stores.contract import Ask, Recipe, Refusal, Target
from aegis_plan.stores.neo4j.model import Server
from aegis_plan.stores.problem import problem
from aegis_plan.stores.whole import (
    Draft,
    back_up,
    member_to_read,
    member_to_restore,
    no_place,
    point_for,
    unreachable,
)


def _server(ask: Ask, member: str) -> Server | None:
    fields = ask.store.members[member].server
    return Server.model_validate(fields) if fields else None


def backup_recipe(ask: Ask, reason: str) -> Recipe:
    """A full of the member that is read."""
    draft = Draft(ask, member_to_read(ask))
    seen = ask.look.member(draft.member)
    if seen is None or seen.lineage is None:
        return Recipe(findings=(unreachable(ask, draft.member),))
    _back_up(draft, reason, seen.lineage)
    return Recipe(steps=tuple(draft.steps))


def _back_up(draft: Draft, reason: str, lineage: object, **fields: object) -> None:
    ask, name = draft.ask, draft.member
    server = _server(ask, name)
    databases = ", ".join(server.databases if server is not None else ("neo4j",))
    if server is not None and server.backup_by == "dump":
        title = f"stop the server of {ask.name} on {name}, dump {databases}, system, start it again"
        back_up(draft, title, reason, lineage, destructive=True, **fields)
    else:
        back_up(draft, f"export {ask.name} from {name}: {databases}", reason, lineage, **fields)


def recover_recipe(ask: Ask, target: Target, member: str | None, beside: str | None) -> Recipe:
    """A load of the newest set that fits on a private server, which is proved before anything that serves is
    touched; the old databases are kept."""
    name = member_to_restore(ask, member)
    if name is None:
        return no_place(ask)
    point, missing = point_for(ask, target)
    if target.selection:
        return _refused(
            ask,
            "selection-impossible",
            "this kind of store is restored whole",
            f"{', '.join(target.selection)} cannot be restored alone",
            "restore the store --beside a folder, start a server on it and take over what is needed",
        )
    if _server(ask, name) is None:
        return _refused(
            ask,
            "server-not-declared",
            "the documents do not say where this server lives",
            f"member {name} of {ask.name} has no `server` section, and data is put in place on its host",
            "give its `server` a home, so that the server can be stopped, its databases kept and put back",
        )
    draft = Draft(ask, name, beside=beside is not None)
    record = point.sets[0] if point is not None else None
    back = f"set {point.sets[-1].set}" if point is not None else "the newest set"
    aside = {"beside": beside} if beside is not None else {}
    stage = draft.add(
        "stage",
        "stage",
        f"fetch and verify {back} of {ask.name}",
        f"{ask.name} goes back to {back}",
        params={**(_record(record) if record is not None else {}), **aside},
        facts=(draft.fact("newest-set"), *(() if beside else (draft.fact(f"{name}/state"),))),
    )
    load = draft.add(
        "load",
        "load",
        f"load {ask.name} on a private server and compare it with what was backed up",
        "counts, constraints, indexes and a sum over all of the data have to be equal before anything is touched",
        params=aside,
        builds_on=(stage,),
    )
    serves = load
    if beside is None:
        serves = _put_in_place(draft, load)
    return Recipe(
        steps=tuple(draft.steps), findings=(missing,) if missing is not None else (), point=point, serves=serves
    )


def _put_in_place(draft: Draft, load: str) -> str:
    ask, name = draft.ask, draft.member
    moved = (f"{ask.name}/{name}/state", f"{ask.name}/{name}/lineage", f"{ask.name}/primary", f"{ask.name}/lineage")
    draft.add(
        "stop-server",
        "stop",
        f"stop the server of {ask.name} on {name}",
        "the restored databases take the place of the old",
        changes=moved,
    )
    draft.add(
        "swap",
        "swap",
        f"put the restored databases of {ask.name} in place on {name}",
        "the old databases are kept beside them and can be put back",
        params={"load": load},
        builds_on=(load,),
        changes=(*moved, f"{ask.name}/{name}/free-bytes"),
    )
    draft.add(
        "start-server",
        "start",
        f"start the server of {ask.name} on {name}",
        "the restored data is served again",
        changes=moved,
    )
    accept = draft.add(
        "accept",
        "accept",
        f"accept the restored data of {ask.name}",
        "the server that people reach holds what was proved",
        params={"load": load},
        builds_on=(load,),
        changes=moved,
    )
    if ask.store.backup is not None:
        _back_up(
            draft,
            "the store is unprotected until a set of the restored data exists",
            {"output": f"{accept}.lineage"},
            phase="verify",
            on_error="continue",
            builds_on=(accept,),
        )
    return accept


def _record(record: SetRecord) -> dict[str, object]:
    # The set as it was read, and the databases that are made of it with their transactions.
    size = 3 * sum(stored.plain_size for stored in record.objects)
    return {"lineage": record.lineage, "record": record.id, "digest": digest(record), "need_bytes": size}


def _refused(ask: Ask, code: str, summary: str, detail: str, hint: str) -> Recipe:
    said = problem(ask, "error", code, summary, f"{ask.name}: {detail}" if ask.name not in detail else detail, hint)
    return Recipe(findings=(said,), refusal=Refusal(code, summary, detail, hint))
