"""The steps that back a Milvus store up and bring it back. Pure; what does them is in the modules of their names."""

from __future__ import annotations

from typing import Any

from aegis_plan.catalog.record import ADAPTER
from aegis_plan.observe.snapshot import MemberLook, store_facts
from aegis_plan.plan.plan import PlanFinding
from aegis_plan.plan.step import Estimate, Fact, measured
from aegis_plan.sealing.canonical import digest
from aegis_plan.stores.contract import Ask, Recipe, RecoveryPoint, Target
from aegis_plan.stores.milvus.model import BackupParams, LoadParams, Server, StageParams
from aegis_plan.stores.whole import Draft, estimate, member_to_read, member_to_restore, point_for, problem

KIND = "collection/"


def backup_recipe(ask: Ask, reason: str) -> Recipe:
    """A full of every collection."""
    name = member_to_read(ask)
    seen = ask.look.member(name)
    if seen is None or seen.state != "primary" or seen.lineage is None:
        return Recipe(findings=(_unreachable(ask, name, seen),))
    draft = Draft(ask, name)
    _back_up(draft, reason, "protect", seen.lineage)
    return Recipe(steps=tuple(draft.steps))


def _unreachable(ask: Ask, name: str, seen: MemberLook | None) -> PlanFinding:
    why = f"{name} is {seen.state}: {seen.reason}" if seen is not None else f"{name} was not looked at"
    return problem(
        ask,
        "error",
        "member-unreachable",
        "the server to back up cannot be reached",
        why,
        "check its connection and whether it runs; where it is lost, plan a recovery with 'aegis plan --scenario NAME'",
    )


def _back_up(draft: Draft, reason: str, phase: str, lineage: str, **fields: Any) -> None:
    ask, name = draft.ask, draft.member
    facts = () if not lineage else (Fact(name=f"{ask.name}/{name}/lineage", value=lineage),)
    draft.add(
        "backup",
        "backup",
        f"export {_collections(ask, name)} of {ask.name} from {name}",
        reason,
        phase=phase,
        params=BackupParams(store=ask.name, member=name, lineage=lineage).model_dump(mode="json"),
        changes=(f"{ask.name}/newest-set",),
        facts=facts,
        built=True,
        **fields,
    )


def _collections(ask: Ask, member: str) -> str:
    names = Server.model_validate(ask.store.members[member].server).collections
    return ", ".join(names) if names else "all collections"


def recover_recipe(ask: Ask, target: Target, member: str | None, beside: str | None) -> Recipe:
    """Collections under new names beside the old ones, compared, and only then under their own."""
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
    wrong = [part for part in target.selection if not part.startswith(KIND) or part == KIND]
    if wrong:
        return Recipe(findings=(_selection(ask, wrong),))
    point, missing = point_for(ask, target)
    if point is None:
        return Recipe(findings=(missing,) if missing is not None else ())
    draft = Draft(ask, name)
    aside: dict[str, Any] = {"resource": f"{ask.name}/beside", "lease": ""} if beside is not None else {}
    _stage(draft, target, point, beside, aside)
    params = LoadParams(store=ask.name, member=name, beside=beside, keep_old=ask.store.keep_old_data)
    common: dict[str, Any] = {"params": params.model_dump(mode="json"), "built": True, **aside}
    draft.add(
        "load",
        "load",
        f"load {_collections(ask, name)} of {ask.name} on {name} under new names, build indexes",
        "the old collections stay as they are until the new ones are compared",
        **common,
    )
    serves = draft.add(
        "compare",
        "compare",
        f"compare {ask.name} with what was backed up",
        "counts and keys have to be equal, whole pages bit for bit, and a stored vector has to find itself",
        **common,
    )
    if beside is None:
        lineage = (
            f"{ask.name}/lineage",
            f"{ask.name}/{name}/lineage",
            f"{ask.name}/{name}/state",
            f"{ask.name}/primary",
        )
        draft.add(
            "swap",
            "swap",
            f"let the restored collections of {ask.name} have the names and aliases of the old ones",
            "the old collections are kept under other names and can be put back",
            changes=lineage,
            **common,
        )
        serves = draft.add(
            "accept",
            "accept",
            f"accept the restored collections of {ask.name}",
            "the old collections go, as the documents say"
            if ask.store.keep_old_data == "no"
            else "from here on they are the store's; the old ones stay until somebody drops them",
            changes=lineage,
            **common,
        )
        if ask.store.backup is not None:
            _back_up(
                draft,
                "the store is unprotected until a set of the restored data exists",
                "verify",
                "",
                on_error="continue",
                builds_on=(serves,),
            )
            # A file that was lost and made anew has another lineage than was looked at.
            last = draft.steps[-1]
            draft.steps[-1] = last.model_copy(
                update={"params": {**last.params, "lineage": {"output": f"{serves}.lineage"}}}
            )
    return Recipe(steps=tuple(draft.steps), point=point, serves=serves)


def _stage(draft: Draft, target: Target, point: RecoveryPoint, beside: str | None, aside: dict[str, Any]) -> str:
    ask, record = draft.ask, point.sets[0]
    back = f"set {point.sets[-1].set}"
    facts = store_facts(ask.look)
    newest = f"{ask.name}/newest-set"
    return draft.add(
        "stage",
        "stage",
        f"fetch and verify {back} of {ask.name}",
        f"{ask.name} goes back to {back}",
        params=StageParams(
            store=ask.name,
            member=draft.member,
            lineage=point.lineage,
            record=record.id,
            digest=digest(ADAPTER.dump_python(record, mode="json")),
            selection=tuple(part.removeprefix(KIND) for part in target.selection),
            beside=beside,
        ).model_dump(mode="json"),
        facts=(Fact(name=newest, value=facts[newest]),),
        estimate=_by_size(ask, "stage", sum(stored.sealed_size for stored in record.objects)),
        built=True,
        **aside,
    )


def _by_size(ask: Ask, action: str, size: int) -> Estimate:
    past = ask.durations(action, ask.name)
    return measured(past, size) if past is not None else estimate(ask, action)


def _selection(ask: Ask, wrong: list[str]) -> PlanFinding:
    return problem(
        ask,
        "error",
        "milvus-selection",
        "only whole collections can be taken out of a backup of Milvus",
        f"{ask.name}: {', '.join(wrong)}",
        "write --only collection/NAME",
    )
