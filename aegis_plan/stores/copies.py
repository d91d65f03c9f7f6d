"""Copies of sets that declared repositories lack, and local ones that may go, for stores of every engine. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aegis_plan.catalog.living import living
from aegis_plan.catalog.record import ADAPTER, LogRecord, Record, SetRecord
from aegis_plan.documents.model import LocalRepository
from aegis_plan.plan.plan import PlanFinding
from aegis_plan.plan.step import Estimate, Step, measured, new_step
from aegis_plan.sealing.canonical import digest
from aegis_plan.stores.contract import Ask

MOST_RANGES = 200
"""Copies of log ranges in one plan; a repository that was away for a day lacks thousands."""


def record_digest(record: Record) -> str:
    """How other records and step parameters name a record."""
    return digest(ADAPTER.dump_python(record, mode="json"))


@dataclass(frozen=True)
class _Work:
    """What is asked, and what is known of the repositories."""

    ask: Ask
    wanted: tuple[str, ...]
    """Declared repositories of the store that can be reached."""
    keep: Mapping[str, int]
    """Repository to how many other copies let its own go."""


def copies(ask: Ask) -> tuple[list[Step], list[PlanFinding]]:
    """Steps that bring each living set into each declared repository, and that clean up what may go."""
    backup = ask.store.backup
    if backup is None:
        return [], []
    reachable = {holding.repository for holding in ask.look.shelf.holdings if holding.reachable}
    keep = {
        name: declared.clean_up_after_copies
        for name in backup.repositories
        if isinstance(declared := ask.documents.repositories.get(name), LocalRepository)
        and declared.clean_up_after_copies is not None
    }
    work = _Work(ask, tuple(name for name in backup.repositories if name in reachable), keep)
    alive = living(ask.look.shelf)
    steps: list[Step] = []
    for record in alive.sets:
        if holders := alive.holders.get(record.id, ()):
            steps.extend(_copy(work, record, record.set, holders, keep))
            steps.extend(_clean(work, record, holders))
    ranges = [
        step
        for record in alive.log
        if (holders := alive.holders.get(record.id, ()))
        for step in _copy(work, record, f"log-{record.id}", holders, {})
    ]
    findings = _findings(ask, alive.sets, alive.holders, len(ranges))
    return [*steps, *ranges[:MOST_RANGES]], findings


def _findings(
    ask: Ask, sets: tuple[SetRecord, ...], holders: Mapping[str, tuple[str, ...]], ranges: int
) -> list[PlanFinding]:
    found = []
    if ranges > MOST_RANGES:
        found.append(
            PlanFinding(
                severity="note",
                code="log-copies-capped",
                summary="more ranges of log lack copies than one plan takes",
                detail=f"{ranges} copies are missing, the plan makes {MOST_RANGES}",
                hint="apply it and plan again",
                subject=ask.name,
            )
        )
    minimum = ask.documents.sealing.minimum_copies if ask.documents.sealing is not None else 1
    few = [record for record in sets if 0 < len(holders.get(record.id, ())) < minimum]
    if few:
        found.append(
            PlanFinding(
                severity="breach",
                code="too-few-copies-held",
                summary="a set has fewer copies than the documents ask for",
                detail=f"{len(few)} sets, such as {few[-1].set}, have fewer than {minimum}",
                hint="bring the missing repositories back; the plan copies what it can",
                subject=ask.name,
            )
        )
    return found


def _copy(
    work: _Work, record: SetRecord | LogRecord, name: str, holders: tuple[str, ...], keep: Mapping[str, int]
) -> list[Step]:
    ask, made = work.ask, []
    for target in work.wanted:
        spared = keep.get(target)
        if target in holders or (spared is not None and len([name for name in holders if name != target]) >= spared):
            continue
        source, site = _way(ask, holders, target)
        if not site:
            continue
        size = sum(part.sealed_size for part in record.objects)
        made.append(
            new_step(
                "copy-set",
                id=f"{ask.name}.copy-{name}-to-{target}",
                title=f"copy {name} of {ask.name} to {target}",
                reason=f"{target} does not hold it whole; {source} does",
                site=site,
                tier=ask.tier,
                phase="protect",
                subject=ask.name,
                # A range is immutable and never pruned alone, and the daemon that streams holds the log's lease.
                resource=f"{ask.name}/data" if record.aspect == "data" else "",
                lease=f"{ask.name}/data" if record.aspect == "data" else "",
                params={
                    "store": ask.name,
                    "lineage": record.lineage,
                    "record": record.id,
                    "digest": record_digest(record),
                    "source": source,
                    "target": target,
                },
                declared=_sent_along(ask),
                estimate=_estimate(ask, "copy-set", size),
            )
        )
    return made


def _clean(work: _Work, record: SetRecord, holders: tuple[str, ...]) -> list[Step]:
    ask, made = work.ask, []
    for name, enough in work.keep.items():
        others = [holder for holder in holders if holder != name]
        site = _home(ask, name)
        if name not in holders or len(others) < enough or not site:
            continue
        made.append(
            new_step(
                "clean-up",
                id=f"{ask.name}.clean-up-{record.set}-in-{name}",
                title=f"remove the copy of {record.set} in {name}",
                reason=f"{len(others)} other repositories hold it whole, {enough} are enough",
                site=site,
                tier=ask.tier,
                phase="protect",
                subject=ask.name,
                resource=f"{ask.name}/data",
                lease=f"{ask.name}/data",
                params={
                    "store": ask.name,
                    "lineage": record.lineage,
                    "record": record.id,
                    "digest": record_digest(record),
                    "repository": name,
                    "copies": enough,
                },
                declared=_sent_along(ask),
                estimate=_estimate(ask, "clean-up"),
            )
        )
    return made


def _way(ask: Ask, holders: tuple[str, ...], target: str) -> tuple[str, str]:
    """A holder and the site that reaches both it and the target; no site where there is none.

    A folder is reached at its own site alone, all else from everywhere."""
    end = _home(ask, target)
    for holder in holders:
        begin = _home(ask, holder)
        if not end or not begin or begin == end:
            return holder, begin or end or _own_site(ask)
    return holders[0], ""


def _home(ask: Ask, repository: str) -> str:
    """The site of a folder; empty for what is reached from everywhere."""
    declared = ask.documents.repositories.get(repository)
    return declared.site if isinstance(declared, LocalRepository) else ""


def _own_site(ask: Ask) -> str:
    """A site of the store that is not lost: where its primary was seen, else of the preferred member."""
    seen = ask.look.primary.member if ask.look.primary is not None else None
    names = [name for name in (seen, ask.store.preferred, *ask.store.members) if name in ask.store.members]
    sites = [ask.store.members[name].site for name in names]
    return next((site for site in sites if site not in ask.sites_down), "")


def _sent_along(ask: Ask) -> tuple[str, ...]:
    """Names of the documents that the actions need."""
    repositories = ask.store.backup.repositories if ask.store.backup is not None else ()
    return (f"stores/{ask.name}", *(f"repositories/{name}" for name in repositories), "sites/*")


def _estimate(ask: Ask, action: str, size: int | None = None) -> Estimate:
    past = ask.durations(action, ask.name)
    return measured(past, size) if past is not None else Estimate(bytes=size)
