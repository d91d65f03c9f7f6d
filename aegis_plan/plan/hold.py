"""The plan that holds backups, or ends holds. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from aegis_plan.catalog.holds import holds
from aegis_plan.catalog.record import SetRecord
from aegis_plan.documents.model import Documents
from aegis_plan.observe.snapshot import Snapshot
from aegis_plan.plan.asks import asks
from aegis_plan.plan.assembly import assembled
from aegis_plan.plan.plan import Intent, Plan, PlanFinding
from aegis_plan.plan.protect import unique, unreachable
from aegis_plan.plan.step import Step, new_step
from aegis_plan.stores.contract import Ask
from aegis_plan.stores.retention import site_of
from aegis_plan.stores.specs import spec


def plan_hold(documents: Documents, snapshot: Snapshot, digest: str, tool: str, intent: Intent) -> Plan:
    """Of the sets that `intent.options["sets"]` names, with what they build on; without any, of all that the stores of
    the intent have. `until`, `reason`, `by` and `release` stand beside them."""
    steps: list[Step] = []
    findings: list[PlanFinding] = list(unreachable(snapshot))
    wanted = list(intent.options.get("sets") or ())
    found: set[str] = set()
    for ask in asks(documents, snapshot, intent.stores or tuple(documents.stores)).values():
        mine = _sets(ask, wanted)
        found.update(name for name in wanted if any(name in (one.set, one.id) for one in mine))
        if wanted and not mine:
            continue
        made = _release(ask, mine, intent) if intent.options.get("release") else _hold(ask, mine, intent)
        if isinstance(made, Step):
            steps.append(made)
        else:
            findings.append(made)
    for name in wanted:
        if name not in found:
            findings.append(
                _error("set-unknown", "no repository has such a backup set", name, "'aegis catalog' lists them")
            )
    return assembled(documents, snapshot, digest, tool, intent, steps, unique(tuple(findings)))


def _sets(ask: Ask, wanted: list[str]) -> list[SetRecord]:
    """Also such as a tombstone has ended: as long as nothing was deleted, a hold brings them back."""
    return [
        record
        for record in ask.look.shelf.records
        if isinstance(record, SetRecord) and (record.set in wanted or record.id in wanted)
    ]


def _hold(ask: Ask, sets: list[SetRecord], intent: Intent) -> Step | PlanFinding:
    shelf = ask.look.shelf
    everything = {record.id: record for record in shelf.records if isinstance(record, SetRecord)}
    if not everything:
        return _error("nothing-to-hold", "a store has no backup that could be held", ask.name, "back it up first")
    chain = {other: None for one in sets for other in _chain(ask, one, everything)}
    held = {one for holding in shelf.holdings for one in holding.held}
    gone = [one for one in chain if one not in held]
    if gone:
        return _error(
            "set-gone",
            "a backup that is to be held is not there any more",
            f"no repository that can be reached holds {', '.join(gone)} whole",
            "'aegis catalog' shows what is left to hold",
        )
    newest = max(sets or everything.values(), key=lambda one: (one.not_after, one.id))
    names = ", ".join(one.set for one in sets) or "everything"
    zone = ZoneInfo(ask.documents.system.timezone)
    day = datetime.fromisoformat(intent.options["until"]).astimezone(zone) if intent.options.get("until") else None
    until = f" until {day:%Y-%m-%d %H:%M %Z}" if day is not None else ""
    return _step(
        ask,
        title=f"hold {names} of {ask.name}{until}",
        reason=str(intent.options.get("reason", "")),
        lineage=newest.lineage,
        records=list(chain),
        intent=intent,
        release=[],
    )


def _chain(ask: Ask, record: SetRecord, known: dict[str, SetRecord]) -> list[str]:
    """The set and what it builds on, whether or not a tombstone has ended that."""
    needs = spec(ask.store.engine).bonds(ask.look.shelf).builds_on.get(record.id)
    if needs is not None and all(one in known for one in needs):
        return [record.id, *needs]
    line, at = [record.id], record
    by_name = {name: one for one in known.values() for name in (one.id, one.set)}
    while at.parent is not None and at.parent in by_name and by_name[at.parent].id not in line:
        at = by_name[at.parent]
        line.append(at.id)
    return line


def _release(ask: Ask, sets: list[SetRecord], intent: Intent) -> Step | PlanFinding:
    wanted = {one.id for one in sets}
    found = [
        hold
        for hold in holds(ask.look.shelf.records, ask.now)
        if (wanted & set(hold.targets) if wanted else not hold.targets)
    ]
    if not found:
        what = ", ".join(one.set for one in sets) or "the whole store"
        return _error("nothing-to-release", "no hold is in force", f"{ask.name}: {what}", "'aegis catalog' lists holds")
    return _step(
        ask,
        title=f"end {len(found)} hold{'s' if len(found) > 1 else ''} of {ask.name}",
        reason=str(intent.options.get("reason") or "asked for"),
        lineage=found[-1].lineage,
        records=[],
        intent=intent,
        release=[hold.id for hold in found],
    )


def _step(
    ask: Ask, *, title: str, reason: str, lineage: str, records: list[str], intent: Intent, release: list[str]
) -> Step:
    used = ask.store.backup.repositories if ask.store.backup is not None else ()
    params: dict[str, Any] = {
        "store": ask.name,
        "lineage": lineage,
        "records": records,
        "until": intent.options.get("until") or "",
        "reason": reason,
        "by": intent.options.get("by") or "",
        "release": release,
    }
    return new_step(
        "hold",
        id=f"{ask.name}.{'release' if release else 'hold'}",
        title=title,
        reason=reason,
        site=site_of(ask),
        tier=ask.tier,
        phase="protect",
        subject=ask.name,
        resource=f"{ask.name}/data",
        lease=f"{ask.name}/data",
        declared=(f"stores/{ask.name}", *(f"repositories/{one}" for one in used), "sites/*"),
        params=params,
    )


def _error(code: str, summary: str, detail: str, hint: str) -> PlanFinding:
    return PlanFinding(severity="error", code=code, summary=summary, detail=detail, hint=hint)
