"""The holds of a shelf that are in force at a moment. Pure; the moment is passed in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from aegis_plan.catalog.record import HoldRecord, Record, ReleaseRecord


def holds(records: Iterable[Record], now: datetime) -> tuple[HoldRecord, ...]:
    """Those neither released nor past their day, the newest last."""
    known = tuple(records)
    released = {record.hold for record in known if isinstance(record, ReleaseRecord)}
    found = (record for record in known if isinstance(record, HoldRecord))
    return tuple(
        sorted(
            (one for one in found if one.id not in released and (one.until is None or one.until > now)),
            key=lambda one: (one.written, one.id),
        )
    )
