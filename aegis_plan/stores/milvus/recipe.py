"""The steps that back a Milvus store up and bring it back. Pure; what does them is in the modules of their names."""

from __future__ import annotations

from typing import Any

from aegis_plan.plan.plan import PlanFinding
from aegis_plan.plan.step import Estimate, measured
from aegis_plan.sealing.signatures import digest
from aegis_plan.stores.contract import Ask, Recipe, RecoveryPoint, Target
from aegis_plan.stores.milvus.model import LoadParams, Server, StageParams
from aegis_plan.stores.problem import problem
from aegis_plan.stores.whole import (
    Draft,
    back_up,
    estimate,
    member_to_read,
    member_to_restore,
    no_place,
    point_for,
    unreachable,
)

KIND = "collection/"


def backup_recipe(ask: Ask, reason: str) -> Recipe:
    """A full of every collection."""
    draft = Draft(ask, member_to_read(ask))
    seen = ask.look.member(draft.member)
    if seen is None or seen.lineage is None:
        return Recipe(findings=(unreachable(ask, draft.member),))
    back_up(draft, _export(draft), reason, seen.lineage)
    return Recipe(steps=tuple(draft.steps))


def _export(draft: Draft) -> str:
    return f"export {_collections(draft.ask, draft.member)} of {draft.ask.name} from {draft.member}"


def _collections(ask: Ask, member: str) -> str:
    names = Server.model_validate(ask.store.members[member].server).collections
    return ", ".join(names) if names else "all collections"


def recover_recipe(ask: Ask, target: Target, member: str | None, beside: str | None) -> Recipe:
    """Collections under new names beside the old ones, compared, and only then under their own."""
    name = member_to_restore(ask, member)
    if name is None:
        return no_place(ask)
    wrong = [part for part in target.selection if not part.startswith(KIND) or part == KIND]
    if wrong:
        return Recipe(findings=(_selection(ask, wrong),))
    point, missing = point_for(ask, target)
    if point is None:
        return Recipe(findings=(missing,) if missing is not None else ())
    draft = Draft(ask, name, beside=beside is not None)
    _stage(draft, target, point, beside)
    params = LoadParams(store=ask.name, member=name, beside=beside, keep_old=ask.store.keep_old_data)
    common: dict[str, Any] = {"params": params.model_dump(mode="json")}
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
            # A file that was lost and made anew has another lineage than was looked at.
            back_up(
                draft,
                _export(draft),
                "the store is unprotected until a set of the restored data exists",
                {"output": f"{serves}.lineage"},
                phase="verify",
                on_error="continue",
                builds_on=(serves,),
            )
    return Recipe(steps=tuple(draft.steps), point=point, serves=serves)


def _stage(draft: Draft, target: Target, point: RecoveryPoint, beside: str | None) -> None:
    ask, record = draft.ask, point.sets[0]
    back = f"set {point.sets[-1].set}"
    draft.add(
        "stage",
        "stage",
        f"fetch and verify {back} of {ask.name}",
        f"{ask.name} goes back to {back}",
        params=StageParams(
            store=ask.name,
            member=draft.member,
            lineage=point.lineage,
            record=record.id,
            digest=digest(record),
            selection=tuple(part.removeprefix(KIND) for part in target.selection),
            beside=beside,
        ).model_dump(mode="json"),
        facts=(draft.fact("newest-set"),),
        estimate=_by_size(ask, "stage", sum(stored.sealed_size for stored in record.objects)),
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
