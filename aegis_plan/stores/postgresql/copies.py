"""Copies of sets that declared repositories lack, and local ones that may go. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from aegis_plan.catalog.record import ADAPTER, LogRecord, Record, SetRecord
from aegis_plan.documents.model import LocalRepository
from aegis_plan.plan.plan import PlanFinding
from aegis_plan.plan.step import Step, new_step
from aegis_plan.sealing.canonical import digest
from aegis_plan.stores.contract import Ask
from aegis_plan.stores.postgresql.chains import LineageArchive
from aegis_plan.stores.postgresql.facts import estimate, problem, sent_along

MOST_RANGES = 200
"""Copies of log ranges in one plan; a repository that was away for a day lacks thousands."""


def record_digest(record: Record) -> str:
    """How other records and step parameters name a record."""
    return digest(ADAPTER.dump_python(record, mode="json"))


def copies(ask: Ask, lineages: Mapping[str, LineageArchive], site: str) -> tuple[list[Step], list[PlanFinding]]:
    """Steps that bring each living set into each declared repository, and that clean up what may go."""
    backup = ask.store.backup
    steps: list[Step] = []
    findings: list[PlanFinding] = []
    if backup is None:
        return steps, findings
    reachable = [holding.repository for holding in ask.look.shelf.holdings if holding.reachable]
    wanted = [name for name in backup.repositories if name in reachable]
    keep = {
        name: declared.clean_up_after_copies
        for name in backup.repositories
        if isinstance(declared := ask.documents.repositories.get(name), LocalRepository)
        and declared.clean_up_after_copies is not None
    }
    for one in lineages.values():
        for record in one.promised:
            holders = one.holders.get(record.id, ())
            if not holders:
                continue
            steps.extend(_copy(ask, record, record.set, holders, wanted, keep, site))
            steps.extend(_clean(ask, one, record, holders, keep, site))
    ranges = [
        step
        for one in lineages.values()
        for record in one.log
        if (holders := one.holders.get(record.id, ()))
        for step in _copy(ask, record, f"log-{record.id}", holders, wanted, {}, site)
    ]
    steps.extend(ranges[:MOST_RANGES])
    if len(ranges) > MOST_RANGES:
        findings.append(
            problem(
                ask,
                "note",
                "log-copies-capped",
                "more ranges of log lack copies than one plan takes",
                f"{len(ranges)} copies are missing, the plan makes {MOST_RANGES}",
                "apply it and plan again",
            )
        )
    minimum = ask.documents.sealing.minimum_copies if ask.documents.sealing is not None else 1
    few = [
        record
        for one in lineages.values()
        for record in one.promised
        if 0 < len(one.holders.get(record.id, ())) < minimum
    ]
    if few:
        findings.append(
            problem(
                ask,
                "breach",
                "too-few-copies-held",
                "a set has fewer copies than the documents ask for",
                f"{len(few)} sets, such as {few[-1].set}, have fewer than {minimum}",
                "bring the missing repositories back; the plan copies what it can",
            )
        )
    return steps, findings


def _copy(
    ask: Ask,
    record: SetRecord | LogRecord,
    name: str,
    holders: tuple[str, ...],
    wanted: list[str],
    keep: Mapping[str, int | None],
    site: str,
) -> list[Step]:
    made = []
    for target in wanted:
        spared = keep.get(target)
        if target in holders or (spared is not None and len([name for name in holders if name != target]) >= spared):
            continue
        size = sum(part.sealed_size for part in record.objects)
        made.append(
            new_step(
                "copy-set",
                id=f"{ask.name}.copy-{name}-to-{target}",
                title=f"copy {name} of {ask.name} to {target}",
                reason=f"{target} does not hold it whole; {holders[0]} does",
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
                    "source": holders[0],
                    "target": target,
                },
                declared=sent_along(ask),
                estimate=estimate(ask, "copy-set", size),
            )
        )
    return made


def _clean(
    ask: Ask,
    one: LineageArchive,
    record: SetRecord,
    holders: tuple[str, ...],
    keep: Mapping[str, int | None],
    site: str,
) -> list[Step]:
    made = []
    for name, enough in keep.items():
        others = [holder for holder in holders if holder != name]
        if name not in holders or enough is None or len(others) < enough:
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
                declared=sent_along(ask),
                estimate=estimate(ask, "clean-up"),
            )
        )
    return made
