"""What a plan says of the repositories themselves: which could not be looked at, and what there is not as its signers
left it. A bucket whose writer went rogue shows here; nothing of what is told is ever used. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from aegis_plan.catalog.holding import Damage, Shelf
from aegis_plan.plan.plan import PlanFinding

MOST = 20
"""Findings of one repository and store; a disk that rots has thousands."""


def holdings(store: str, shelf: Shelf) -> Iterator[PlanFinding]:
    """Findings about everything that was seen of one store."""
    for holding in shelf.holdings:
        if not holding.reachable:
            yield PlanFinding(
                severity="warning",
                code="repository-unreachable",
                summary="a repository cannot be reached",
                detail=f"{holding.repository}: {holding.reason}",
                hint="copies there are missing from this plan; look again when it is back",
                subject=store,
            )
        # What somebody did on purpose must not be lost behind what a disk did.
        told = sorted(holding.damage, key=lambda damage: _finding(store, damage).severity != "breach")
        for damage in told[:MOST]:
            yield _finding(store, damage)
        if len(told) > MOST:
            yield PlanFinding(
                severity="warning",
                code="copy-damaged",
                summary="something in a repository is not as its record says",
                detail=f"{holding.repository}: {len(told) - MOST} more",
                hint="'aegis catalog --json' lists them",
                subject=store,
            )


def _finding(store: str, damage: Damage) -> PlanFinding:
    detail = f"{damage.repository}: {damage.kind.replace('-', ' ')}: {damage.key}: {damage.detail}"
    if damage.kind == "unknown-signer":
        return PlanFinding(
            severity="breach",
            code="signer-not-listed",
            summary="something in a repository is signed by somebody who is not listed",
            detail=detail,
            hint="it is not used; if nobody of yours wrote it, somebody else can write there: change its credentials",
            subject=store,
        )
    if damage.kind == "hidden-object":
        return PlanFinding(
            severity="breach",
            code="object-hidden",
            summary="somebody hid something in a repository, or put another over it",
            detail=detail,
            hint="it is locked and read around; nobody of ours does that: change the credentials that may write there",
            subject=store,
        )
    if damage.kind == "bad-signature":
        return PlanFinding(
            severity="breach",
            code="signature-wrong",
            summary="something in a repository is not what its signer signed",
            detail=detail,
            hint="it is not believed; it was damaged or forged: look at the same object in another repository, and at "
            "who can write there",
            subject=store,
        )
    if damage.kind == "misplaced":
        return PlanFinding(
            severity="breach",
            code="signed-for-elsewhere",
            summary="something that was signed for another place was put into a repository",
            detail=detail,
            hint="it is not used; nothing of ours moves signed objects, so find out who did",
            subject=store,
        )
    if damage.kind == "rolled-back":
        return PlanFinding(
            severity="breach",
            code="catalog-rolled-back",
            summary="what this site wrote last is in no repository any more",
            detail=detail,
            hint="the newest backups were taken away or an old state was put back; find out who can delete there, and "
            "take a full backup elsewhere",
            subject=store,
        )
    if damage.kind == "missing-record":
        return PlanFinding(
            severity="breach",
            code="record-taken-away",
            summary="a record that another one names is in no repository",
            detail=detail,
            hint="a backup was taken away without a tombstone; bring back a repository that holds it, and find out who "
            "can delete there",
            subject=store,
        )
    return PlanFinding(
        severity="warning",
        code="copy-damaged",
        summary="something in a repository is not as its record says",
        detail=detail,
        hint="other copies are used; find out who or what changed it",
        subject=store,
    )
