"""What verifications found, and when which bytes were last read. A fold of their records; it judges no age."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from aegis_plan.catalog.record import Record, VerificationRecord

Place = tuple[str, str]
"""A repository, and the id of a record."""


def verifications(records: Iterable[Record]) -> list[VerificationRecord]:
    """All of them, the newest last."""
    found = (record for record in records if isinstance(record, VerificationRecord))
    return sorted(found, key=lambda one: (one.written, one.id))


def verdicts(records: Iterable[Record]) -> dict[Place, Literal["pass", "fail"]]:
    """The last verdict on each copy. One that could not be verified says nothing new."""
    found: dict[Place, Literal["pass", "fail"]] = {}
    for record in verifications(records):
        for one in record.checked:
            if one.verdict != "could_not_verify":
                found[record.repository, one.record] = one.verdict
    return found


def looked_at(records: Iterable[Record]) -> dict[Place, datetime]:
    """When each copy was last verified with an answer, be it by the service's word alone."""
    return {
        (record.repository, one.record): record.written
        for record in verifications(records)
        for one in record.checked
        if one.verdict != "could_not_verify"
    }


def read_at(records: Iterable[Record]) -> dict[tuple[str, str, str], datetime]:
    """When each object was last read in full: by repository, id of its record and its name."""
    return {
        (record.repository, one.record, name): record.written
        for record in verifications(records)
        for one in record.checked
        if one.verdict != "could_not_verify"
        for name in one.read
    }


def proved(records: Iterable[Record]) -> set[str]:
    """Ids of the records of which some copy passed its last verification with bytes read."""
    last = verdicts(records)
    return {
        one.record
        for record in verifications(records)
        for one in record.checked
        if one.verdict == "pass" and one.read and last.get((record.repository, one.record)) == "pass"
    }
