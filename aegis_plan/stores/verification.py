"""Steps that verify copies, one for each repository of a store, and what is to be said of their age. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aegis_plan.catalog.living import living
from aegis_plan.catalog.record import LogRecord, SetRecord
from aegis_plan.catalog.verified import looked_at, verdicts
from aegis_plan.documents.model import LocalRepository
from aegis_plan.documents.scalars import span
from aegis_plan.plan.plan import PlanFinding
from aegis_plan.plan.step import Estimate, Step, measured, new_step
from aegis_plan.stores.contract import Ask, Recipe
from aegis_plan.stores.retention import site_of


@dataclass(frozen=True)
class Verified:
    """How far one repository was verified."""

    repository: str
    copies: int
    failed: tuple[str, ...]
    """Ids of the records whose copy there failed its last verification and lies there still."""
    oldest: datetime | None
    """When the copy was verified, or made, for which that is the longest ago; None where none is there."""
    never: int
    """Copies that were proved when they were written, and never since."""


def verified(ask: Ask) -> tuple[Verified, ...]:
    """Each repository of the store that could be looked at."""
    shelf = ask.look.shelf
    alive = living(shelf)
    last, failing = looked_at(shelf.records), verdicts(shelf.records)
    living_ones: tuple[SetRecord | LogRecord, ...] = (*alive.sets, *alive.log)
    records = {record.id: record for record in living_ones}
    found = []
    for holding in shelf.holdings:
        if not holding.reachable:
            continue
        here = [records[one] for one in holding.held if one in records]
        times = [last.get((holding.repository, record.id), record.written) for record in here]
        found.append(
            Verified(
                holding.repository,
                len(here),
                tuple(record.id for record in here if failing.get((holding.repository, record.id)) == "fail"),
                min(times, default=None),
                sum((holding.repository, record.id) not in last for record in here),
            )
        )
    return tuple(found)


def overdue(ask: Ask, steps: Sequence[Step] = ()) -> Recipe:
    """What a plan of protection does: verify where the last time is too long ago, and once more what failed, as soon as
    it was made anew; `steps` are those of the plan so far."""
    backup = ask.store.backup
    if backup is None:
        return Recipe()
    made, findings = [], []
    for one in verified(ask):
        if one.failed:
            findings.append(_failed(ask, one))
            healed = {
                str(step.params.get("record")): step.id
                for step in steps
                if step.action == "copy-set" and step.params.get("target") == one.repository
            }
            again = [record for record in one.failed if record in healed]
            if again:
                reason = "what failed was made anew, and counts again only once it was read"
                needs = tuple(healed[record] for record in again)
                made.append(_step(ask, one.repository, reason, again, 1.0, needs, "-again"))
        if backup.verify is None or one.oldest is None:
            continue
        age = ask.now - one.oldest
        if age >= backup.verify.every:
            reason = f"a copy was verified {_ago(age)} ago, and that is to be every {_ago(backup.verify.every)}"
            share = backup.verify.data / 100 if backup.verify.data is not None else None
            needs = tuple(
                step.id
                for step in steps
                if step.action in ("copy-set", "clean-up")
                and one.repository in (step.params.get("target"), step.params.get("repository"))
            )
            made.append(_step(ask, one.repository, reason, (), share, needs))
            findings.append(_old(ask, one, age, backup.verify.every))
    return Recipe(steps=tuple(made), findings=tuple(findings))


def asked(ask: Ask, data: float | None, repositories: Collection[str], sets: Collection[str]) -> Recipe:
    """Verifications asked for by hand, of all repositories or those named, of all records or the sets named."""
    backup = ask.store.backup
    steps, findings = [], []
    records = [
        record.id
        for record in ask.look.shelf.records
        if isinstance(record, SetRecord) and (record.set in sets or record.id in sets)
    ]
    for holding in ask.look.shelf.holdings:
        if repositories and holding.repository not in repositories:
            continue
        if holding.reachable:
            steps.append(_step(ask, holding.repository, "asked for", records, data, ()))
        else:
            findings.append(
                PlanFinding(
                    severity="error" if repositories else "breach",
                    code="could-not-verify",
                    summary="not every copy could be verified",
                    detail=f"{ask.name}: {holding.repository} cannot be reached: {holding.reason}",
                    hint="bring it back, or name the repositories to verify with --repository",
                    subject=ask.name,
                )
            )
    if backup is None or (sets and not records):
        return Recipe()
    return Recipe(steps=tuple(steps), findings=tuple(findings))


def _step(
    ask: Ask,
    repository: str,
    reason: str,
    records: Sequence[str],
    data: float | None,
    needs: tuple[str, ...],
    suffix: str = "",
) -> Step:
    declared = ask.documents.repositories.get(repository)
    site = declared.site if isinstance(declared, LocalRepository) else site_of(ask)
    used = ask.store.backup.repositories if ask.store.backup is not None else ()
    past = ask.durations("verify", ask.name)
    what = f"{len(records)} cop{'ies' if len(records) > 1 else 'y'}" if records else "all copies"
    how = "" if data is None else ", reading all of them" if data == 1 else f", reading {data:.3g} of the data"
    return new_step(
        "verify",
        id=f"{ask.name}.verify-{repository}{suffix}",
        title=f"verify {what} of {ask.name} in {repository}{how}",
        reason=reason,
        site=site,
        tier=ask.tier,
        phase="protect",
        subject=ask.name,
        resource=f"{ask.name}/verify-{repository}",
        declared=(f"stores/{ask.name}", *(f"repositories/{one}" for one in used), "sites/*"),
        needs=needs,
        estimate=measured(past) if past is not None else Estimate(),
        on_error="continue",
        params={"store": ask.name, "repository": repository, "records": list(records), "data": data},
    )


def _ago(age: timedelta) -> str:
    return span(age.total_seconds())


def _failed(ask: Ask, one: Verified) -> PlanFinding:
    return PlanFinding(
        severity="breach",
        code="copy-failed",
        summary="a copy is not what was backed up",
        detail=f"{ask.name}: {len(one.failed)} of {one.copies} copies in {one.repository}, such as {one.failed[-1]}",
        hint="they count no more and are made anew where another repository has them whole; find out what changed them",
        subject=ask.name,
    )


def _old(ask: Ask, one: Verified, age: timedelta, every: timedelta) -> PlanFinding:
    return PlanFinding(
        severity="warning",
        code="verification-overdue",
        summary="copies were not verified for too long",
        detail=f"{ask.name}: {one.repository}: the oldest {_ago(age)} ago, against every {_ago(every)}"
        + (f"; {one.never} of {one.copies} never since they were made" if one.never else ""),
        hint="'aegis apply' verifies what is due, 'aegis verify' at any time",
        subject=ask.name,
    )
