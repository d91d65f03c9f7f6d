"""Objects of a store that no record names: what killed uploads and killed deletions left. It finds and never guesses:
where a record cannot be read, nothing is a leftover."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from aegis_plan.catalog.record import LogRecord, Record, SetRecord
from aegis_plan.repositories import keys
from aegis_plan.repositories.contract import Listed, Repository

UNREAD = frozenset({"unreadable-record", "bad-signature", "unknown-signer"})
"""Kinds of damage of a record: what it names is not known then."""


def leftovers(
    repository: Repository, system: str, store: str, records: Iterable[Record], now: datetime, age: timedelta
) -> list[Listed]:
    """Objects, and wrapped keys, that none of `records` names and that lie there for `age` at least. What the storage
    does not date is left alone."""
    named: set[str] = set()
    wrapped: set[str] = set()
    for record in records:
        if isinstance(record, SetRecord | LogRecord):
            named.update(stored.key for stored in record.objects)
            wrapped.add(keys.data_key_prefix(record.system, record.store, record.lineage, record.key))
    root = keys.store_root(system, store)
    found = []
    for listed in repository.listing(root):
        room = listed.key[len(root) :].split("/", 2)[1:2]
        if room == ["records"] or listed.key in named:
            continue
        if room == ["keys"] and listed.key.removesuffix(".json").rpartition(".")[0] + "." in wrapped:
            continue
        head = repository.head(listed.key)
        if head is not None and head.modified is not None and now - head.modified >= age:
            found.append(listed)
    return found
