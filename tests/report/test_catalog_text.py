"""What `aegis catalog` and `aegis status` tell of sets that expire, are held or verified, and of stores together."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

from rich.console import Console

from aegis_plan.report.posture import (
    Expiring,
    HeldBack,
    Kept,
    Posture,
    Span,
    StoreAt,
    StorePosture,
    Together,
    VerifiedIn,
    as_data,
    show_catalog,
    show_posture,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


STORE = StorePosture(
    store="policy-db",
    tier=1,
    state="protected",
    exposure=0.0,
    exposure_basis="all is archived",
    rpo=None,
    spans=(Span(ago(days=3), NOW),),
    sets=(
        Kept("A-F1", "full", ago(days=9), 2048, None, ("seoul",), "l", "fuzzy", ago(days=2)),
        Kept("B-F1", "full", ago(days=1), 2048, None, ("seoul",), "l", failed=("busan",)),
    ),
    servers=(),
    repositories=(("seoul", True, ""), ("busan", True, "")),
    expiring=(Expiring("X-F1", ago(days=40), NOW + timedelta(days=1), "older than 4 weeks"),),
    holds=(HeldBack(("A-F1",), NOW + timedelta(days=30), "kim", "audit"), HeldBack((), None, "lee", "case 7")),
    verified=(VerifiedIn("seoul", 2, 1, 0, ago(days=2)), VerifiedIn("busan", 2, 0, 1, ago(days=5))),
)
TOGETHER = (
    Together(
        "search", ago(hours=8), 3600.0, (StoreAt("policy-db", ago(hours=8), True), StoreAt("g", ago(hours=9), False))
    ),
    Together("reports", None, None, (), ("policy-vectors", "g")),
)
POSTURE = Posture(system="aegis", at=NOW, zone="UTC", stores=(STORE,), together=TOGETHER)


def text(show: object) -> str:
    out = StringIO()
    show(POSTURE, Console(file=out, width=110))  # type: ignore[operator]
    return out.getvalue()


def test_the_catalog_tells_what_becomes_of_each_set() -> None:
    told = text(show_catalog)
    for part in (
        "fuzzy, as of 2026-11-15 12:00",
        "verified 2 d ago",
        "not verified since it was made",
        "FAILED its verification in busan",
        "X-F1 is expiring (older than 4 weeks), deleted from 2026-11-25 12:00",
        "A-F1 is held until 2026-12-24 12:00",
        "by kim: audit",
        "everything is held until it is released by lee: case 7",
        "all its stores can go back to 2026-11-24 04:00",
        "1 h apart",
        "g to 2026-11-24 03:00:00 UTC (fuzzy)",
        "cannot go back together: nothing of policy-vectors, g",
    ):
        assert part in told, (part, told)


def test_the_status_tells_how_old_verifications_are() -> None:
    told = text(show_posture)
    assert "verified, the oldest 2 d ago; 1 new ones not yet" in told
    assert "1 of 2 FAILED their verification" in told


def test_programs_are_told_the_same() -> None:
    data = as_data(POSTURE)
    assert json.loads(json.dumps(data))["together"][0]["skew"] == 3600.0
    assert data["stores"][0]["holds"][0]["until"] == "2026-12-24T12:00:00.000000Z"
    assert data["stores"][0]["sets"][1]["verified"] is None
