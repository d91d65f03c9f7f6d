"""The steps of a restore for which the old data makes room: prove all that is needed, then let the old go. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis_plan.plan.step import Fact
from aegis_plan.stores.postgresql.facts import estimate
from aegis_plan.stores.postgresql.model import ClearParams, ProveParams, StageParams

if TYPE_CHECKING:
    from aegis_plan.stores.postgresql.recipe import Recovery


def prove(draft: Recovery, params: StageParams, facts: tuple[Fact, ...], size: int) -> str:
    """Before anything is touched: every byte of chain and log is read and verified, and nothing written."""
    return draft.add(
        "prove",
        "prove",
        f"fetch and verify all that {draft.ask.name} is restored from",
        "there is no room to stage it beside the old data, which goes only when all of this is whole",
        _proving(draft, params).model_copy(update={"followed": draft.tail is not None}),
        facts=facts,
        estimate=estimate(draft.ask, "prove", size),
    )


def clear(draft: Recovery, params: StageParams, proved: str) -> str:
    """What the old server left is proved too, and then the old data goes. `params` are those of the staging to come."""
    ask, name, folder = draft.ask, draft.member, draft.server.data_directory
    fate = draft.fate
    assert fate is not None
    if params.tail is not None:
        draft.add(
            "prove",
            "prove-tail",
            f"fetch and verify the log that {name} left behind",
            "with the old data its own copy of this log goes",
            _proving(draft, params).model_copy(update={"proved": proved}),
            builds_on=(proved, params.tail),
            estimate=estimate(ask, "prove", 0),
        )
    going = ClearParams(
        store=ask.name,
        member=name,
        place=draft.place,
        lineage=params.lineage,
        owner=_owner(draft),
        keep=fate,
        need_bytes=draft.need_alone,
        tail=params.tail,
        tail_begin=draft.tail if params.tail is not None else None,
    )
    member = f"{ask.name}/{name}"
    changes = (f"{member}/free-bytes", f"{member}/lineage", f"{member}/state", f"{ask.name}/lineage")
    builds_on = (params.tail,) if params.tail is not None else ()
    if fate != "no":
        return draft.add(
            "move-away",
            "move-away",
            f"move the old data of {ask.name} to {fate}",
            "it is copied and compared first, then removed from its place; if a later step fails it is brought back",
            going,
            builds_on=builds_on,
            changes=changes,
        )
    return draft.add(
        "clear-place",
        "clear",
        f"remove the old data of {ask.name}: {folder}",
        "there is no room for both; from here on nothing can be put back, and only going on leads to a server again",
        going,
        builds_on=builds_on,
        changes=changes,
        approve=f"may {folder} on {name} be removed for good, before the restored data is there?",
    )


def _proving(draft: Recovery, params: StageParams) -> ProveParams:
    assert draft.fate is not None
    known = {**dict(params), "need_bytes": draft.need_alone}
    return ProveParams(**known, member=draft.member, owner=_owner(draft), keep=draft.fate)


def _owner(draft: Recovery) -> str | None:
    return draft.seen.look.system_identifier if draft.seen is not None else None
